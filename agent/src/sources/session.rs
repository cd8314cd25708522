//! Who is logged in at the console, whose screen it is, and whether it is locked: what the window server keeps at the root
//! of the IORegistry. The login window by itself is nobody's session.
//!
//! Key names are from CGSession.h and public recordings of macOS 13 to 26.

use std::collections::BTreeMap;
use std::time::Duration;

use ::plist::{Dictionary, Value as Plist};
use emote_proto::{Draft, User};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ObserveError, Source};
use crate::platform::{Host, System, ioreg, plist, tools};
use crate::vocabulary::Kind;

/// People logged in at once at most; a Mac has at most a few.
const MOST: usize = 64;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// By account.
    pub(crate) sessions: BTreeMap<String, Session>,
    /// Whose screen it is.
    pub(crate) console: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) uid: Option<u64>,
    pub(crate) name: Option<String>,
    /// Tells one session of an account from the next.
    pub(crate) id: Option<String>,
    pub(crate) locked: bool,
}

pub(crate) struct Sessions;

impl Source for Sessions {
    const NAME: &'static str = "session";
    const ABOUT: &'static str = "logins at the console, user switching and screen lock";
    const VERSION: u8 = 1;
    const ON: &'static [System] = &[System::Mac];
    const INTERVAL: Duration = Duration::from_secs(300);
    const DEBOUNCE: Duration = Duration::from_millis(500);
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let entries = ioreg::entries(host, &tools::IOREG_CONSOLE)?;
        let [root] = &entries[..] else {
            return Err(ObserveError::Answer(format!("ioreg printed {} roots", entries.len())));
        };
        let mut new = parse(root)?;
        for (account, session) in &mut new.sessions {
            let before = old.and_then(|old| old.sessions.get(account));
            if let Some(before) = before.filter(|before| before.may_be(session)) {
                session.id.clone_from(&before.id);
            }
        }
        Ok(new)
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let mut drafts = Vec::new();
        let mut console = old.console.as_ref();
        for (account, session) in &old.sessions {
            if new.sessions.get(account).is_none_or(|now| !session.is_same(now)) {
                drafts.push(session.draft(Kind::SessionLogout, account));
                console = console.filter(|console| *console != account);
            }
        }
        for (account, session) in &new.sessions {
            let before = old.sessions.get(account).filter(|before| before.is_same(session));
            if before.is_none() {
                let is_console = new.console.as_ref() == Some(account);
                drafts.push(session.login(account, is_console));
                console = console.or_else(|| Some(account).filter(|_| is_console));
            }
            match (before.is_some_and(|before| before.locked), session.locked) {
                (false, true) => drafts.push(session.draft(Kind::SessionLock, account)),
                (true, false) => drafts.push(session.draft(Kind::SessionUnlock, account)),
                _ => {}
            }
        }
        if console != new.console.as_ref() {
            drafts.push(Kind::SessionSwitched.draft(json!({"from": console, "to": new.console})));
        }
        drafts
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        let sessions = snapshot.sessions.iter().map(|(account, session)| {
            let mut info = session.info(account);
            info["locked"] = session.locked.into();
            info
        });
        json!({"sessions": sessions.collect::<Vec<_>>(), "console": snapshot.console})
    }
}

impl Session {
    fn is_same(&self, other: &Self) -> bool {
        Self { locked: false, ..self.clone() } == Self { locked: false, ..other.clone() }
    }

    /// Whether nothing says that they are two: an id that is not there does not.
    fn may_be(&self, other: &Self) -> bool {
        self.uid == other.uid && (self.id == other.id || self.id.is_none() || other.id.is_none())
    }

    fn info(&self, account: &str) -> Value {
        json!({"account": account, "uid": self.uid, "name": self.name})
    }

    fn login(&self, account: &str, is_console: bool) -> Draft {
        let mut info = self.info(account);
        info["console"] = is_console.into();
        self.about(Kind::SessionLogin.draft(info), account)
    }

    fn draft(&self, kind: Kind, account: &str) -> Draft {
        self.about(kind.draft(self.info(account)), account)
    }

    /// A user is known by UPN: an account that has such a name is that user's, and a short name says nothing of it.
    fn about(&self, mut draft: Draft, account: &str) -> Draft {
        if account.contains('@') {
            draft.user = Some(User { id: Some(account.to_lowercase()), name: self.name.clone(), ..User::default() });
        }
        draft
    }
}

/// Reads `IOConsoleUsers`: one dictionary per session of the window server. Before there is one, the key is missing.
fn parse(root: &Dictionary) -> Result<Snapshot, ObserveError> {
    let users = match root.get("IOConsoleUsers") {
        Some(Plist::Array(users)) => users.as_slice(),
        None if root.contains_key("IOKitBuildVersion") => &[],
        _ => return Err(ObserveError::Answer("the root of the registry says nothing of console users".into())),
    };
    let mut snapshot = Snapshot::default();
    for user in users.iter().filter_map(Plist::as_dictionary) {
        let account = plist::text(user, "kCGSSessionUserNameKey").filter(|account| account != "loginwindow");
        let Some(account) = account.filter(|_| ioreg::is_set(user, "kCGSessionLoginDoneKey")) else { continue };
        let session = Session {
            uid: ioreg::number(user, "kCGSSessionUserIDKey"),
            name: plist::text(user, "kCGSessionLongUserNameKey"),
            id: plist::text(user, "CGSSessionUniqueSessionUUID"),
            locked: ioreg::is_set(user, "CGSSessionScreenIsLocked"),
        };
        if ioreg::is_set(user, "kCGSSessionOnConsoleKey") {
            snapshot.console = Some(account.clone());
        }
        snapshot.sessions.insert(account, session);
    }
    if snapshot.sessions.len() > MOST {
        return Err(ObserveError::Answer(format!("more than {MOST} people are logged in")));
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;

    /// One entry of `IOConsoleUsers`, with the keys that a Mac has.
    fn user(account: &str, uid: u32, uuid: &str, flags: &[&str]) -> String {
        let flag = |key: &str| match flags.contains(&key) {
            true => format!("<key>{key}</key><true/>"),
            false if key == "CGSSessionScreenIsLocked" => String::new(),
            false => format!("<key>{key}</key><false/>"),
        };
        let flags =
            ["CGSSessionScreenIsLocked", "kCGSSessionOnConsoleKey", "kCGSessionLoginDoneKey"].map(flag).concat();
        let id = if uuid.is_empty() {
            String::new()
        } else {
            format!("<key>CGSSessionUniqueSessionUUID</key><string>{uuid}</string>")
        };
        format!(
            "<dict>{id}{flags}<key>kCGSSessionAuditIDKey</key><integer>100015</integer><key>kCGSSessionGroupIDKey</key>\
            <integer>20</integer><key>kCGSSessionIDKey</key><integer>257</integer><key>kCGSSessionLoginwindowSafeLogin\
            </key><false/><key>kCGSSessionSystemSafeBoot</key><false/><key>kCGSSessionUserIDKey</key><integer>{uid}\
            </integer><key>kCGSSessionUserNameKey</key><string>{account}</string><key>kCGSessionLongUserNameKey</key>\
            <string>{account} L</string><key>kSCSecuritySessionID</key><integer>100015</integer></dict>"
        )
    }

    fn mac(users: &[String]) -> Recorded {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
            \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n<dict><key>IOConsoleLocked</key>\
            <false/><key>IOConsoleUsers</key><array>{}</array><key>IOKitBuildVersion</key><string>Darwin</string>\
            <key>IORegistryEntryName</key><string>Root</string></dict></plist>\n",
            users.concat()
        );
        Recorded::mac().tool(&tools::IOREG_CONSOLE, &text)
    }

    const HERE: &[&str] = &["kCGSSessionOnConsoleKey", "kCGSessionLoginDoneKey"];
    const AWAY: &[&str] = &["kCGSessionLoginDoneKey"];
    const LOCKED: &[&str] = &["kCGSSessionOnConsoleKey", "kCGSessionLoginDoneKey", "CGSSessionScreenIsLocked"];

    /// The events of a row of looks, after the first.
    fn events(looks: &[Vec<String>]) -> Vec<String> {
        let mut events = Vec::new();
        let mut old = None;
        for users in looks {
            let new = Sessions::observe(&mac(users), old.as_ref()).unwrap();
            let drafts = old.map(|old| Sessions::diff(&old, &new)).unwrap_or_default();
            events.extend(drafts.into_iter().map(|draft| {
                let info = draft.info.unwrap().into_value();
                let or = |key: &str| info[key].as_str().unwrap_or("-").to_owned();
                let whom = if info.get("account").is_some() { or("account") } else { or("from") + " " + &or("to") };
                format!("{} {whom}", draft.action)
            }));
            old = Some(new);
        }
        events
    }

    #[test]
    fn people_come_lock_switch_and_go() {
        let window = || user("loginwindow", 88, "W", &["kCGSSessionOnConsoleKey"]);
        let ada = |flags| user("ada", 501, "A", flags);
        let grace = |flags| user("grace", 502, "G", flags);
        for (looks, expected) in [
            (vec![vec![window()], vec![ada(HERE)], vec![window()]], &["login ada", "logout ada"][..]),
            (vec![vec![], vec![ada(&["kCGSSessionOnConsoleKey"])], vec![ada(HERE)]], &["login ada"]),
            (vec![vec![ada(HERE)], vec![ada(LOCKED)], vec![ada(HERE)]], &["lock ada", "unlock ada"]),
            (vec![vec![ada(HERE)], vec![ada(AWAY), window()]], &["switched ada -"]),
            (vec![vec![ada(HERE)], vec![ada(AWAY), grace(HERE)]], &["login grace", "switched ada grace"]),
            (vec![vec![ada(AWAY), grace(HERE)], vec![ada(HERE)]], &["logout grace", "switched - ada"]),
            (vec![vec![ada(HERE), grace(AWAY)], vec![ada(AWAY), grace(HERE)]], &["switched ada grace"]),
            (vec![vec![ada(HERE)], vec![user("ada", 501, "B", HERE)]], &["logout ada", "login ada"]),
            (vec![vec![ada(HERE)], vec![user("ada", 501, "", LOCKED)], vec![ada(LOCKED)]], &["lock ada"]),
        ] {
            assert_eq!(events(&looks), expected, "{looks:?}");
        }
    }

    #[test]
    fn a_root_that_says_nothing_of_users_is_an_error_once_there_is_a_registry() {
        let root = |text: &str| Sessions::observe(&Recorded::mac().tool(&tools::IOREG_CONSOLE, text), None);
        let none = root("<plist><dict><key>IOKitBuildVersion</key><string>Darwin</string></dict></plist>");
        assert_eq!(none.unwrap(), Snapshot::default());
        for text in [
            "",
            "<plist><dict/></plist>",
            "<plist><array><dict/><dict/></array></plist>",
            "<plist><dict><key>IOConsoleUsers</key><string>x</string></dict></plist>",
        ] {
            assert!(root(text).is_err(), "{text}");
        }
        let crowd: Vec<String> = (0..70).map(|n| user(&format!("u{n}"), n, "U", AWAY)).collect();
        assert!(Sessions::observe(&mac(&crowd), None).is_err());
    }

    #[test]
    fn only_an_account_that_is_a_upn_names_a_user() {
        let session = Session { uid: Some(501), name: Some("Ada L".into()), id: None, locked: false };
        assert_eq!(session.draft(Kind::SessionLock, "ada").user, None);
        let user = session.login("Ada@Example.com", true).user.unwrap();
        assert_eq!((user.id.as_deref(), user.name.as_deref()), (Some("ada@example.com"), Some("Ada L")));
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let session = (prop::option::of(501_u64..503), prop::option::of("[AB]"), any::<bool>());
        let session = session.prop_map(|(uid, id, locked)| Session { uid, name: id.clone(), id, locked });
        let sessions = prop::collection::btree_map("[a-c]", session, 0..4);
        (sessions, prop::option::of("[a-c]")).prop_map(|(sessions, console)| {
            let console = console.filter(|console| sessions.contains_key(console));
            Snapshot { sessions, console }
        })
    }

    fn replay(mut old: Snapshot, drafts: &[Draft]) -> Snapshot {
        for draft in drafts {
            let info = draft.info.clone().unwrap().into_value();
            let text = |key: &str| info[key].as_str().map(str::to_owned);
            let account = text("account").unwrap_or_default();
            if Kind::SessionSwitched.is(draft) {
                old.console = text("to");
            } else if Kind::SessionLogout.is(draft) {
                old.sessions.remove(&account);
                old.console = old.console.filter(|console| *console != account);
            } else if Kind::SessionLogin.is(draft) {
                let name = text("name");
                let session = Session { uid: info["uid"].as_u64(), id: name.clone(), name, locked: false };
                old.console = old.console.or_else(|| Some(account.clone()).filter(|_| info["console"] == true));
                old.sessions.insert(account, session);
            } else {
                old.sessions.get_mut(&account).unwrap().locked = Kind::SessionLock.is(draft);
            }
        }
        old
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_the_old_snapshot_gives_the_new(old in any_snapshot(), new in any_snapshot()) {
            let drafts = Sessions::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            prop_assert_eq!(replay(old, &drafts), new);
        }

        #[test]
        fn no_text_panics(text in any::<String>(), account in any::<String>()) {
            let _ = Sessions::observe(&Recorded::mac().tool(&tools::IOREG_CONSOLE, &text), None);
            let _ = Sessions::observe(&mac(&[user(&account, 1, &text, HERE)]), None);
        }
    }
}
