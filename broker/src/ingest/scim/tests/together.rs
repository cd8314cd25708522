//! Brokers that end between a change and its telling, and brokers that change the same resource at once.

use super::{
    super::{
        Directory as _,
        untold::{self, Left},
    },
    *,
};

#[tokio::test]
async fn what_is_changed_while_the_stream_is_away_is_told_once_in_order_and_answered_as_the_first_time() {
    let bench = Bench::new();
    let post = json!({"userName": "ada@example.com", "active": true});
    let unavailable = async |method: Method, path: &str, body: &Value| {
        let refused = bench.ask(&method, path, body, None).await;
        assert!(matches!(refused, Err(Failed::Refused(Refusal::Unavailable))), "{method} {path}: {refused:?}");
    };
    bench.away(true);
    unavailable(Method::POST, "Users", &post).await;
    unavailable(Method::POST, "Users", &post).await;
    bench.away(false);
    let (status, made) = bench.done(Method::POST, "Users", post.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "it was not answered before");
    assert_eq!(bench.told(), ["user.created ada@example.com"]);
    bench.minutes_pass(6);
    assert_eq!(bench.refused(Method::POST, "Users", post).await, (409, Some("uniqueness")));

    let path = format!("Users/{}", made["id"].as_str().unwrap());
    let off = json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": false}]});
    bench.away(true);
    unavailable(Method::PATCH, &path, &off).await;
    unavailable(Method::DELETE, &path, &Value::Null).await;
    bench.away(false);
    bench.done(Method::DELETE, &path, Value::Null).await;
    assert_eq!(bench.told(), ["user.deactivated ada@example.com", "user.deleted ada@example.com"]);
}

#[tokio::test]
async fn who_was_not_answered_makes_the_same_again_whoever_told_of_it_meanwhile() {
    let bench = Bench::new();
    let post = json!({"userName": "ada@example.com", "active": true});
    let titled = json!({"userName": "ada@example.com", "active": true, "title": "Countess"});
    bench.away(true);
    assert!(bench.ask(&Method::POST, "Users", &post, None).await.is_err());
    bench.away(false);
    bench.other().look().await;
    assert_eq!(bench.told(), ["user.created ada@example.com"]);
    bench.minutes_pass(1);
    let (status, made) = bench.done(Method::POST, "Users", post.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(bench.refused(Method::POST, "Users", titled.clone()).await.0, 409, "that is another one");
    assert!(bench.told().is_empty());
    // One that was changed since is not the same any more, and neither is one that is what it was again.
    let path = format!("Users/{}", made["id"].as_str().unwrap());
    for body in [&titled, &post] {
        bench.done(Method::PUT, &path, body.clone()).await;
        assert_eq!(bench.refused(Method::POST, "Users", body.clone()).await.0, 409, "{body}");
    }
}

#[tokio::test]
async fn what_a_broker_leaves_untold_another_one_tells() {
    let bench = Bench::new();
    bench.away(true);
    let post = json!({"userName": "ada@example.com"});
    assert!(bench.ask(&Method::POST, "Users", &post, None).await.is_err());
    let members: Vec<Value> = (0..1200).map(|n| json!({"value": format!("m{n}")})).collect();
    let group = json!({"displayName": "All", "members": members});
    assert!(bench.ask(&Method::POST, "Groups", &group, None).await.is_err());
    assert!(Untold { directory: bench.directory.clone(), publisher: bench.stream.clone() }.look().await.is_err());
    bench.away(false);
    bench.other().look().await;
    let told = bench.told();
    assert_eq!((told.len(), told.iter().filter(|told| **told == "group.created All").count()), (1202, 1));
    assert!(told.contains(&"user.created ada@example.com".to_owned()));
    bench.look().await;
    assert_eq!(bench.told(), Vec::<String>::new());
    assert!(bench.directory.all("UNTOLD").await.unwrap().is_empty(), "nothing of it stays");
}

#[tokio::test]
async fn what_cannot_be_told_of_one_holds_up_no_other() {
    let names = ["ada@example.com", "bob@example.com", "eve@example.com"];
    for refused in names {
        let bench = Bench::new();
        bench.away(true);
        for name in names {
            assert!(bench.ask(&Method::POST, "Users", &json!({"userName": name}), None).await.is_err());
        }
        bench.away(false);
        *bench.stream.refused.lock().unwrap() = Some(refused);
        let untold = Untold { directory: bench.directory.clone(), publisher: bench.stream.clone() };
        assert!(untold.look().await.is_err(), "{refused}");
        let mut told = bench.told();
        told.sort();
        let others: Vec<String> =
            names.iter().filter(|name| **name != refused).map(|name| format!("user.created {name}")).collect();
        assert_eq!(told, others);
        *bench.stream.refused.lock().unwrap() = None;
        bench.look().await;
        assert_eq!(bench.told(), [format!("user.created {refused}")]);
    }
}

#[tokio::test]
async fn of_two_brokers_that_change_a_resource_at_once_each_tells_what_it_has_made_of_it() {
    let bench = Bench::new();
    let path = format!("Users/{}", bench.user("ada@example.com").await);
    bench.told();
    let op = |path: &str, value: Value| json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": path, "value": value}]});
    for (one, other, told) in [
        // Both the same: the later one has nothing left to do.
        (op("active", json!(false)), op("active", json!(false)), vec!["user.deactivated ada@example.com"]),
        (
            op("active", json!(true)),
            op("title", json!("Countess")),
            vec!["user.updated ada@example.com", "user.activated ada@example.com"],
        ),
        (op("title", json!("a")), op("title", json!("b")), vec!["user.updated ada@example.com"; 2]),
    ] {
        let (quicker, its) = (bench.other(), (path.clone(), other.clone()));
        let meanwhile = async move { drop(quicker.done(Method::PATCH, &its.0, its.1).await) };
        *bench.stream.meanwhile.lock().unwrap() = Some(Box::pin(meanwhile));
        assert_eq!(bench.done(Method::PATCH, &path, one.clone()).await.0, StatusCode::OK);
        assert_eq!(bench.told(), told, "{one} {other}");
    }
    let title = bench.done(Method::GET, &path, Value::Null).await.1["title"].clone();
    assert_eq!(title, "a", "whoever came later has the last word");
    // One of the two does away with it.
    let (quicker, its) = (bench.other(), path.clone());
    let meanwhile = async move { drop(quicker.done(Method::DELETE, &its, Value::Null).await) };
    *bench.stream.meanwhile.lock().unwrap() = Some(Box::pin(meanwhile));
    assert_eq!(bench.refused(Method::PATCH, &path, op("title", json!("c"))).await.0, 404);
    assert_eq!(bench.told(), ["user.deleted ada@example.com"]);
}

#[tokio::test]
async fn what_is_told_takes_nothing_out_that_came_later() {
    let bench = Bench::new();
    let path = format!("Users/{}", bench.user("ada@example.com").await);
    let left = |bench: &Bench| {
        let (directory, name) = (bench.directory.clone(), Name::new("hr").unwrap());
        let prefix = untold::prefix(&name, Kind::User, path.strip_prefix("Users/").unwrap());
        async move { Left::of(&*directory, prefix).await.unwrap() }
    };
    let title =
        |title: &str| json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": title}]});
    bench.away(true);
    assert!(bench.ask(&Method::PATCH, &path, &title("a"), None).await.is_err());
    let seen = left(&bench).await.unwrap();
    bench.away(false);
    bench.look().await;
    bench.away(true);
    assert!(bench.ask(&Method::PATCH, &path, &title("b"), None).await.is_err());
    // A broker that was held up takes out what it has told.
    seen.told(&*bench.directory).await.unwrap();
    assert_eq!(left(&bench).await.unwrap().events().len(), 1);
}
