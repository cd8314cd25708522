use super::signature::tests::Program;
use super::*;
use crate::platform::recorded::Recorded;
use proptest::prelude::*;

fn info_plist(id: &str, version: &str) -> String {
    format!(
        "<plist><dict><key>CFBundleIdentifier</key><string>{id}</string><key>CFBundleName</key><string>Example</string>\
         <key>CFBundleShortVersionString</key><string>{version}</string><key>CFBundleVersion</key><string>7</string>\
         <key>CFBundleExecutable</key><string>example</string></dict></plist>"
    )
}

fn with_app(host: Recorded, path: &str, version: &str, team: Option<&str>) -> Recorded {
    host.file(&format!("{path}/Contents/Info.plist"), info_plist("com.example", version))
        .file(&format!("{path}/Contents/MacOS/example"), Program::new("com.example", team).thin())
}

fn facts(version: &str, team: Option<&str>) -> Facts {
    Facts {
        name: "Example".into(),
        bundle_id: Some("com.example".into()),
        version: Some(version.into()),
        build: Some("7".into()),
        team: team.map(str::to_owned),
        signing_id: Some("com.example".into()),
    }
}

fn observe(host: &Recorded, old: Option<&Snapshot>) -> Snapshot {
    Apps::observe(host, old).unwrap()
}

fn kinds(drafts: &[Draft]) -> Vec<String> {
    drafts.iter().map(|draft| format!("{}.{}", draft.scope.as_str(), draft.action.as_str())).collect()
}

#[test]
fn apps_are_found_one_level_deep_and_not_inside_of_others() {
    let mut host = Recorded::mac();
    for path in ["Example.app", "Utilities/One.APP", "Suite 2026/Two.app", "Suite 2026/deep/Three.app"] {
        host = with_app(host, &format!("/Applications/{path}"), "1.0", Some("A1B2C3D4E5"));
    }
    let host = with_app(host, "/Applications/Example.app/Contents/Helpers/Inner.app", "1.0", None)
        .file("/Applications/.DS_Store", "")
        .file("/Applications/Empty.app/Contents/Resources/x", "");
    let snapshot = observe(&host, None);
    let paths: Vec<&str> = snapshot.keys().map(String::as_str).collect();
    let expected = ["Example.app", "Suite 2026/Two.app", "Utilities/One.APP"];
    assert_eq!(paths, expected.map(|path| format!("/Applications/{path}")));
    assert!(snapshot.values().all(|app| app.facts == facts("1.0", Some("A1B2C3D4E5"))));
    assert!(Apps::observe(&Recorded::mac(), None).is_err(), "there always is a folder for applications");
}

#[test]
fn an_app_for_iphones_is_read_through_its_link() {
    // The link is followed by the system.
    let host = Recorded::mac()
        .file("/Applications/Game.app/WrappedBundle/Info.plist", info_plist("com.example", "2.0"))
        .file("/Applications/Game.app/WrappedBundle/example", Program::new("com.example", Some("A1B2C3D4E5")).thin());
    assert_eq!(observe(&host, None)["/Applications/Game.app"].facts, facts("2.0", Some("A1B2C3D4E5")));
}

#[test]
fn an_app_is_read_again_only_when_it_was_changed() {
    let old = with_app(Recorded::mac(), "/Applications/A.app", "1.0", Some("A1B2C3D4E5"));
    let first = observe(&old, None);
    let new = with_app(Recorded::mac(), "/Applications/A.app", "2.0", Some("A1B2C3D4E5"));
    assert_eq!(observe(&new, Some(&first)), first, "not read");
    let touched = Recorded { modified: old.modified + 1, ..old };
    let again = observe(&touched, Some(&first));
    assert!(again != first && Apps::diff(&first, &again).is_empty(), "another time is no event");
    let changed = Recorded { modified: new.modified + 1, ..new };
    assert_eq!(kinds(&Apps::diff(&first, &observe(&changed, Some(&first)))), ["app.updated"]);
    let ageless = |version| Recorded {
        modified: 315_532_800_000,
        ..with_app(Recorded::mac(), "/Applications/A.app", version, Some("A1B2C3D4E5"))
    };
    let first = observe(&ageless("1.0"), None);
    assert_eq!(kinds(&Apps::diff(&first, &observe(&ageless("2.0"), Some(&first)))), ["app.updated"]);
}

#[test]
fn what_cannot_be_read_for_the_moment_stays_as_it_was() {
    let whole = with_app(Recorded::mac(), "/Applications/A.app", "1.0", Some("A1B2C3D4E5"));
    let first = observe(&whole, None);
    let later = |version| Recorded {
        modified: whole.modified + 1,
        ..with_app(Recorded::mac(), "/Applications/A.app", version, Some("A1B2C3D4E5"))
    };
    let program = "/Applications/A.app/Contents/MacOS/example";
    let half = later("2.0").files[Path::new(program)][..4_200].to_owned();
    let written = observe(&later("2.0").file(program, half.clone()), Some(&first));
    let app = &written["/Applications/A.app"];
    assert_eq!((&app.facts, app.stamp), (&facts("2.0", Some("A1B2C3D4E5")), None), "to be read again");
    assert_eq!(observe(&later("2.0"), Some(&written))["/Applications/A.app"].stamp.map(|_| ()), Some(()));
    let broken = later("2.0").file("/Applications/A.app/Contents/Info.plist", "<plist><dict>");
    assert_eq!(observe(&broken, Some(&first)), first);
    let unknown = observe(&broken, None);
    assert_eq!(unknown["/Applications/A.app"], unreadable("/Applications/A.app"));
    assert_eq!(kinds(&Apps::diff(&unknown, &first)), ["app.updated"], "it was there all the time");
    let new = observe(&later("1.0").file(program, half), None);
    assert_eq!(new["/Applications/A.app"].facts.team, None);
}

#[test]
fn events_say_what_they_are_about() {
    let at = |path: &str, version: &str| with_app(Recorded::mac(), path, version, Some("A1B2C3D4E5"));
    let old = observe(&at("/Applications/A.app", "1.0"), None);
    let moved = Apps::diff(&old, &observe(&at("/Applications/Utilities/A.app", "1.0"), None));
    assert_eq!(kinds(&moved), ["app.removed", "app.installed"]);
    let updated = Apps::diff(&old, &observe(&at("/Applications/A.app", "1.1"), None));
    let side = |version: &str| {
        json!({"name": "Example", "bundle_id": "com.example", "version": version, "build": "7", "team": "A1B2C3D4E5",
            "signing_id": "com.example"})
    };
    let mut expected = side("1.1");
    expected["path"] = "/Applications/A.app".into();
    (expected["from"], expected["to"]) = (side("1.0"), side("1.1"));
    assert_eq!(updated[0].info.clone().unwrap().into_value(), expected);
    let mut replaced = old.clone();
    replaced.get_mut("/Applications/A.app").unwrap().facts.bundle_id = Some("com.other".into());
    assert_eq!(kinds(&Apps::diff(&old, &replaced)), ["app.removed", "app.installed"]);
}

#[test]
fn a_program_outside_of_its_bundle_is_not_read() {
    for (name, expected) in [("../../x", None), ("..", None), ("/bin/sh", None), ("a b", Some("a b".to_owned()))] {
        let list = info_plist("a", "1").replace(">example<", &format!(">{name}<"));
        assert_eq!(program(&plist::parse(list.as_bytes()).unwrap().into_dictionary().unwrap()), expected, "{name}");
    }
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let text = || prop::option::of("[ab]");
    let facts = ("[ab]", text(), text(), text(), text(), text());
    let app = (facts, prop::option::of(prop::array::uniform3(0_i64..2))).prop_map(|(facts, stamp)| {
        let (name, bundle_id, version, build, team, signing_id) = facts;
        App { facts: Facts { name, bundle_id, version, build, team, signing_id }, stamp }
    });
    prop::collection::btree_map("/Applications/[a-c]\\.app", app, 0..4)
}

/// What events tell of.
fn visible(snapshot: &Snapshot) -> BTreeMap<String, Facts> {
    snapshot.iter().map(|(path, app)| (path.clone(), app.facts.clone())).collect()
}

fn replay(mut apps: BTreeMap<String, Facts>, drafts: &[Draft]) -> BTreeMap<String, Facts> {
    for draft in drafts {
        let info = draft.info.clone().unwrap().into_value();
        let path = info["path"].as_str().unwrap().to_owned();
        let to = if Kind::AppUpdated.is(draft) { info["to"].clone() } else { info };
        if Kind::AppRemoved.is(draft) {
            apps.remove(&path);
        } else {
            apps.insert(path, serde_json::from_value(to).unwrap());
        }
    }
    apps
}

proptest! {
    #[test]
    fn replaying_the_events_over_the_old_snapshot_gives_the_new(old in any_snapshot(), new in any_snapshot()) {
        let drafts = Apps::diff(&old, &new);
        prop_assert_eq!(drafts.is_empty(), visible(&old) == visible(&new));
        prop_assert_eq!(replay(visible(&old), &drafts), visible(&new));
    }

    #[test]
    fn no_info_plist_panics(text in ".{0,100}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let list = format!("<plist><dict><key>CFBundleExecutable</key><string>{text}</string></dict></plist>");
        let host = Recorded::mac()
            .file("/Applications/A.app/Contents/Info.plist", list)
            .file("/Applications/A.app/Contents/MacOS/x", &bytes)
            .file("/Applications/B.app/Contents/Info.plist", &bytes);
        let _ = Apps::observe(&host, None);
    }
}
