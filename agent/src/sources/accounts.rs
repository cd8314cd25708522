//! Local accounts of people, and which of them administer the machine. System accounts are left out.

use std::collections::BTreeMap;

use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sysinfo::Users;

use super::{ObserveError, Source};
use crate::{platform, vocabulary::Kind};

const NOBODY: u32 = 65534;

/// By short name.
pub(crate) type Snapshot = BTreeMap<String, Account>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    uid: u32,
    admin: bool,
}

pub(crate) struct Accounts;

impl Source for Accounts {
    const NAME: &'static str = "accounts";
    const VERSION: u8 = 1;
    type Snapshot = Snapshot;

    fn observe(&mut self, _old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let mut snapshot = Snapshot::new();
        for user in &Users::new_with_refreshed_list()? {
            let uid = **user.id();
            if is_person(user.name(), uid) {
                let admin = user.groups().iter().any(|group| platform::admin_groups().contains(&group.name()));
                snapshot.insert(user.name().to_owned(), Account { uid, admin });
            }
        }
        Ok(snapshot)
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

fn is_person(name: &str, uid: u32) -> bool {
    uid >= platform::first_person_uid() && uid != NOBODY && !name.starts_with('_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn system_accounts_are_left_out() {
        for (name, uid, person) in
            [("ada", 1001, true), ("root", 0, false), ("_spotlight", 1089, false), ("nobody", NOBODY, false)]
        {
            assert_eq!(is_person(name, uid), person, "{name}");
        }
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
