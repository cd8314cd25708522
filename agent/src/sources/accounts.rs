//! Local accounts of people, and which of them administer the machine. System accounts are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ObserveError, Source};
use crate::gather::Gather;
use crate::platform::{Host, System, tools};
use crate::vocabulary::Kind;

const NOBODY: u32 = 65534;

/// By short name.
pub(crate) type Snapshot = BTreeMap<String, Account>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) admin: bool,
}

pub(crate) struct Accounts;

impl Source for Accounts {
    const NAME: &'static str = "accounts";
    const ABOUT: &'static str = "local accounts of people, and who is an administrator";
    const INTERVAL: Duration = Duration::from_secs(300);
    const VERSION: u8 = 1;
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, _old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let (users_text, groups_text);
        let (users, admins) = match host.system() {
            System::Mac => {
                let answers = (host.run(&tools::DSCL_USERS)?, host.run(&tools::DSCL_ADMINS)?);
                users_text = answers.0.successful(&tools::DSCL_USERS)?;
                groups_text = answers.1.successful(&tools::DSCL_ADMINS)?;
                (mac_users(&users_text), mac_members(&groups_text))
            }
            System::Linux => {
                users_text = host.read_text("/etc/passwd")?;
                groups_text = host.read_text("/etc/group")?;
                (linux_users(&users_text), linux_members(&groups_text))
            }
        };
        // There is no machine without accounts: whatever answered did not mean to.
        if users.is_empty() {
            return Err(ObserveError::Answer("no accounts are listed".into()));
        }
        let admins = admins.ok_or_else(|| ObserveError::Answer("it is not said who is an administrator".into()))?;
        let people = users.into_iter().filter(|(name, uid)| is_person(host.system(), name, *uid));
        Ok(people.map(|(name, uid)| (name.to_owned(), Account { uid, admin: admins.contains(name) })).gather())
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for (name, account) in old {
            if new.get(name).is_none_or(|now| now.uid != account.uid) {
                drafts.push(Kind::AccountRemoved.draft(account.info(name)));
            }
        }
        for (name, account) in new {
            let kind = match old.get(name).filter(|before| before.uid == account.uid) {
                None => Kind::AccountCreated,
                Some(before) if before.admin == account.admin => continue,
                Some(_) if account.admin => Kind::AccountPromoted,
                Some(_) => Kind::AccountDemoted,
            };
            drafts.push(kind.draft(account.info(name)));
        }
        drafts
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        let accounts: Vec<Value> = snapshot.iter().map(|(name, account)| account.info(name)).collect();
        json!({"accounts": accounts})
    }
}

impl Account {
    fn info(&self, name: &str) -> Value {
        json!({"account": name, "uid": self.uid, "admin": self.admin})
    }
}

/// The lines of `dscl . -list /Users UniqueID`: a name, blanks, a number that may be negative.
fn mac_users(text: &str) -> Vec<(&str, u32)> {
    text.lines()
        .filter_map(|line| {
            let (name, uid) = line.trim().rsplit_once(char::is_whitespace)?;
            Some((name.trim(), uid.parse().ok()?))
        })
        .collect()
}

/// What `dscl . -read /Groups/admin GroupMembership` prints: `GroupMembership: root ada`, on a line of its own where the
/// list is long. `None` for anything else, as root is always one of them.
fn mac_members(text: &str) -> Option<BTreeSet<&str>> {
    let members: BTreeSet<&str> = text.trim_start().strip_prefix("GroupMembership:")?.split_whitespace().gather();
    Some(members).filter(|members| !members.is_empty())
}

/// passwd(5).
fn linux_users(text: &str) -> Vec<(&str, u32)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            Some((fields.next()?, fields.nth(1)?.parse().ok()?))
        })
        .collect()
}

/// group(5): the members of the groups that may do anything through sudo; `None` where there are no groups at all.
fn linux_members(text: &str) -> Option<BTreeSet<&str>> {
    if text.is_empty() {
        return None;
    }
    let groups = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let is_admin = ["sudo", "wheel", "admin"].contains(&fields.next()?);
        fields.nth(2).filter(|_| is_admin)
    });
    Some(groups.flat_map(|members| members.split(',')).filter(|member| !member.is_empty()).gather())
}

fn is_person(system: System, name: &str, uid: u32) -> bool {
    let least = match system {
        System::Mac => 500,
        System::Linux => 1_000,
    };
    uid >= least && uid != NOBODY && !name.starts_with('_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;

    #[test]
    fn system_accounts_are_left_out() {
        for (name, uid, person) in
            [("ada", 1001, true), ("root", 0, false), ("_spotlight", 1089, false), ("nobody", NOBODY, false)]
        {
            assert_eq!(is_person(System::Linux, name, uid), person, "{name}");
        }
        assert!(is_person(System::Mac, "ada", 501) && !is_person(System::Linux, "ada", 501));
    }

    fn check(host: &Recorded, expected: &[(&str, u32, bool)]) {
        let expected =
            expected.iter().map(|(name, uid, admin)| ((*name).to_owned(), Account { uid: *uid, admin: *admin }));
        assert_eq!(Accounts::observe(host, None).unwrap(), expected.collect());
    }

    #[test]
    fn each_system_lists_its_people() {
        let users = "_amavisd               83\nada                    501\nnobody                 -2\n\
            grace                  502\nroot                   0\n";
        let mac = Recorded::mac().tool(&tools::DSCL_USERS, users);
        let short = mac.clone().tool(&tools::DSCL_ADMINS, "GroupMembership: root ada\n");
        check(&short, &[("ada", 501, true), ("grace", 502, false)]);
        let long = mac.clone().tool(&tools::DSCL_ADMINS, "GroupMembership:\n root\n ada grace\n");
        check(&long, &[("ada", 501, true), ("grace", 502, true)]);
        let linux = Recorded::linux()
            .file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000:Ada:/home/ada:/bin/sh\nbad line\n")
            .file("/etc/group", "root:x:0:\nsudo:x:27:ada,grace\nada:x:1000:\n");
        check(&linux, &[("ada", 1000, true)]);
    }

    #[test]
    fn a_list_that_did_not_come_is_no_list_without_accounts() {
        let mac = Recorded::mac().tool(&tools::DSCL_USERS, "").tool(&tools::DSCL_ADMINS, "");
        assert!(Accounts::observe(&mac, None).is_err());
        let no_group = Recorded::mac().tool(&tools::DSCL_USERS, "ada 501\n");
        assert!(Accounts::observe(&no_group, None).is_err());
        let failed = no_group.tool_code(&tools::DSCL_ADMINS, "", 56);
        assert!(Accounts::observe(&failed, None).is_err(), "everybody would be demoted");
    }

    #[test]
    fn an_answer_without_a_group_is_no_group_without_members() {
        let mac = Recorded::mac().tool(&tools::DSCL_USERS, "ada 501\n");
        for text in
            ["", "\n", "No such key: GroupMembership\n", "GroupMembership:\n", "Data source (/Local) is not valid.\n"]
        {
            assert!(Accounts::observe(&mac.clone().tool(&tools::DSCL_ADMINS, text), None).is_err(), "{text:?}");
        }
        let linux = Recorded::linux().file("/etc/passwd", "ada:x:1000:1000:Ada:/home/ada:/bin/sh\n");
        assert!(Accounts::observe(&linux.clone().file("/etc/group", ""), None).is_err());
        check(&linux.file("/etc/group", "root:x:0:\n"), &[("ada", 1000, false)]);
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let account = (501_u32..504, any::<bool>()).prop_map(|(uid, admin)| Account { uid, admin });
        prop::collection::btree_map("[a-c]", account, 0..4)
    }

    fn replay(mut snapshot: Snapshot, drafts: &[Draft]) -> Snapshot {
        for draft in drafts {
            let info = draft.info.clone().unwrap().into_value();
            let name = info["account"].as_str().unwrap().to_owned();
            if Kind::AccountRemoved.is(draft) {
                snapshot.remove(&name);
            } else {
                let account: Account = serde_json::from_value(info).unwrap();
                snapshot.insert(name, account);
            }
        }
        snapshot
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_the_old_snapshot_gives_the_new(old in any_snapshot(), new in any_snapshot()) {
            let drafts = Accounts::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            prop_assert_eq!(replay(old, &drafts), new);
        }
    }
}
