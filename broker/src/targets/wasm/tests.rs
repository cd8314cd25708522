use std::path::PathBuf;

use super::{module::Ready, *};
use crate::targets::{
    program::{Ended, MAX_OUTPUT, Ran},
    testing::{self, job, lines, problems, secrets, show, validate},
};

/// A module of this text around `_start`.
fn wat(imports: &str, start: &str) -> Vec<u8> {
    let text = format!(
        r#"(module {imports} (memory (export "memory") 1)
            (data (i32.const 100) "{{\22scope\22:\22a\22,\22action\22:\22b\22}}\0a")
            (func (export "_start") {start}))"#
    );
    wat::parse_str(text).unwrap()
}

const WRITE: &str =
    r#"(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))"#;
const EXIT: &str = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;
/// Writes the line of the module to a descriptor.
const LINE: &str = "(i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 27))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))";

fn run_within(module: &[u8], within: Duration, fuel: u64) -> Ran {
    let run = Run {
        args: vec!["x".to_owned(), "ä".to_owned()],
        env: vec!["A=b".to_owned()],
        input: b"{}\n".to_vec(),
        memory: 1 << 20,
        fuel,
        within,
        stopped: Arc::default(),
    };
    Ready::of(module).unwrap().run(run)
}

fn run(module: &[u8]) -> Ran {
    run_within(module, Duration::from_secs(30), 50_000_000)
}

fn killed(ran: &Ran) -> String {
    match &ran.ended {
        Ended::Killed(how) => how.clone(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_module_ends_as_a_program_does() {
    let told = run(&wat(WRITE, LINE));
    assert_eq!((told.ended, told.output.as_slice()), (Ended::Code(0), &b"{\"scope\":\"a\",\"action\":\"b\"}\n"[..]));
    assert_eq!(run(&wat(EXIT, "(call $exit (i32.const 75))")).ended, Ended::Code(75));
    assert_eq!(run(&wat(EXIT, "(call $exit (i32.const 0)) unreachable")).ended, Ended::Code(0));
    let said = run(&wat(WRITE, &LINE.replace("$write (i32.const 1)", "$write (i32.const 2)")));
    assert_eq!((said.said.len(), said.output.len()), (27, 0));
}

#[test]
fn whatever_a_module_does_it_comes_to_an_end() {
    let unreachable = killed(&run(&wat("", "unreachable")));
    assert!(unreachable.contains("trapped") && unreachable.contains("unreachable"), "{unreachable}");
    assert!(killed(&run(&wat("", "(drop (i32.load (i32.const 0x7fffffff)))"))).contains("out of bounds"));
    let recursion = killed(&run(&wat("(func $f (call $f))", "(call $f)")));
    assert!(recursion.contains("trapped: call stack") || recursion.contains("exhausted"), "{recursion}");
    let endless = "(loop $l (br $l))";
    assert!(killed(&run(&wat("", endless))).contains("used up its fuel of 50000000"));
    let late = run_within(&wat("", endless), Duration::from_millis(50), u64::MAX);
    assert_eq!(late.ended, Ended::Late(Duration::from_millis(50)));
    let flood = run(&wat(WRITE, &format!("(loop $l {LINE} (br $l))")));
    assert!(flood.ended == Ended::Flooded && flood.output.len() <= MAX_OUTPUT, "{:?}", flood.ended);
    // One page was there; it has no more than sixteen, however often it asks.
    let bomb = wat(
        EXIT,
        "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (call $exit (memory.size))",
    );
    assert_eq!(run(&bomb).ended, Ended::Code(16));
    let large = run(&wat::parse_str(r#"(module (memory (export "memory") 1000) (func (export "_start")))"#).unwrap());
    assert!(killed(&large).contains("trapped"), "{large:?}");
}

#[test]
fn a_module_that_waits_is_ended_in_time() {
    let poll = r#"(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"#;
    let sleep = |nanos: u64| {
        let start = format!(
            "(i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const {nanos}))
             (drop (call $poll (i32.const 0) (i32.const 200) (i32.const 1) (i32.const 300)))
             (if (i32.ne (i32.load (i32.const 300)) (i32.const 1)) (then unreachable)) (loop $l (br $l))"
        );
        wat(poll, &start)
    };
    let began = std::time::Instant::now();
    let late = run_within(&sleep(60_000_000_000), Duration::from_millis(50), u64::MAX);
    assert_eq!(late.ended, Ended::Late(Duration::from_millis(50)));
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(killed(&run(&sleep(1_000_000))).contains("used up its fuel"));
}

#[test]
fn calls_of_the_host_are_bounded_in_time_and_bytes() {
    let random = r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))"#;
    let endless =
        |bytes: u32| wat(random, &format!("(loop $l (drop (call $random (i32.const 0) (i32.const {bytes}))) (br $l))"));
    let began = std::time::Instant::now();
    let late = run_within(&endless(65_536), Duration::from_millis(50), u64::MAX);
    assert_eq!(late.ended, Ended::Late(Duration::from_millis(50)));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let spent = run_within(&endless(65_536), Duration::from_secs(30), 10 * 65_536);
    assert_eq!(killed(&spent), "its calls have moved more bytes than it has fuel (`fuel`)");
    let once = wat(random, "(drop (call $random (i32.const 0) (i32.const 65536)))");
    assert_eq!(run_within(&once, Duration::from_secs(30), 65_536).ended, Ended::Code(0));
}

#[test]
fn what_a_module_asks_for_and_is_not_there_it_is_told() {
    let errno = |import: &str, call: &str| {
        let module = wat(&format!("{import} {EXIT}"), &format!("(call $exit {call})"));
        run(&module).ended
    };
    let wasi = |name: &str, params: &str| {
        format!(r#"(import "wasi_snapshot_preview1" "{name}" (func $f (param {params}) (result i32)))"#)
    };
    let (open, stat) = (wasi("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"), wasi("fd_filestat_get", "i32 i32"));
    let open_call = "(call $f (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0))";
    let two = |a: i64, b: i64| format!("(call $f (i32.const {a}) (i32.const {b}))");
    let four = |a: i64, b: i64, c: i64, d: i64| {
        format!("(call $f (i32.const {a}) (i32.const {b}) (i32.const {c}) (i32.const {d}))")
    };
    for (import, call, expected) in [
        (open, open_call.to_owned(), 52),
        (stat, two(0, 0), 52),
        (wasi("fd_prestat_get", "i32 i32"), two(3, 0), 8),
        (wasi("fd_read", "i32 i32 i32 i32"), four(1, 0, 1, 8), 8),
        (wasi("fd_write", "i32 i32 i32 i32"), four(5, 0, 1, 8), 8),
        (wasi("fd_write", "i32 i32 i32 i32"), four(1, -1, 1, 8), 21),
        (wasi("fd_write", "i32 i32 i32 i32"), four(1, 0, -1, 8), 28),
        (wasi("random_get", "i32 i32"), two(-8, 16), 21),
        (wasi("random_get", "i32 i32"), two(0, -1), 28),
        (wasi("args_get", "i32 i32"), two(65_534, 0), 21),
        (wasi("environ_get", "i32 i32"), two(0, 65_535), 21),
        (wasi("poll_oneoff", "i32 i32 i32 i32"), four(0, 0, 0, 0), 28),
        (wasi("clock_res_get", "i32 i32"), two(9, 0), 28),
    ] {
        assert_eq!(errno(&import, &call), Ended::Code(expected), "{import} {call}");
    }
    let without_memory = wat::parse_str(format!(
        r#"(module {WRITE} {EXIT} (func (export "_start")
            (call $exit (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    ));
    assert_eq!(run(&without_memory.unwrap()).ended, Ended::Code(21));
}

#[test]
fn what_is_no_module_to_run_is_told() {
    let of = |text: &str| Ready::of(&wat::parse_str(text).unwrap()).err().unwrap();
    assert!(of("(module)").contains("no function _start"));
    assert!(of(r#"(module (func (export "_start") (param i32)))"#).contains("no function _start"));
    assert!(of(r#"(module (import "env" "f" (func)) (func (export "_start")))"#).contains("imports env.f"));
    assert!(
        of(r#"(module (import "wasi_snapshot_preview1" "m" (memory 1)) (func (export "_start")))"#)
            .contains("no function")
    );
    for bytes in [&b""[..], b"#!/bin/sh", b"\0asm", b"\0asm\x01\0\0\0\xff\xff", b"\0asm\x0d\0\x01\0"] {
        assert!(Ready::of(bytes).is_err(), "{bytes:?}");
    }
}

fn folder(module: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = secrets();
    let path = folder.path().join("modules/x.wasm");
    std::fs::create_dir(folder.path().join("modules")).unwrap();
    std::fs::write(&path, module).unwrap();
    (folder, path)
}

#[tokio::test]
async fn a_module_that_has_changed_is_the_next_one_that_is_run() {
    let (folder, path) = folder(&wat(WRITE, LINE));
    let hash = data_encoding::HEXUPPER.encode(&<sha2::Sha256 as sha2::Digest>::digest(std::fs::read(&path).unwrap()));
    let any = validate("kind: wasm\nmodule: modules/x.wasm").unwrap().resolve(folder.path()).unwrap();
    let pinned = validate(&format!("kind: wasm\nmodule: modules/x.wasm\nsha256: {hash}")).unwrap();
    let pinned = pinned.resolve(folder.path()).unwrap();
    for target in [&any, &pinned] {
        let done = show(&testing::deliver(target.as_ref(), &job(), &Value::Null).await);
        assert_eq!(done, r#"done wasm.ran {"events":1,"program":"modules/x.wasm","target":"the-target"}"#);
    }
    std::fs::write(&path, wat(EXIT, "(call $exit (i32.const 75))")).unwrap();
    let later = show(&testing::deliver(any.as_ref(), &job(), &Value::Null).await);
    assert_eq!(later, "retry exited with 75");
    let other = show(&testing::deliver(pinned.as_ref(), &job(), &Value::Null).await);
    assert!(other.starts_with("retry ") && other.contains("is another module: its SHA-256 is"), "{other}");
    std::fs::remove_file(&path).unwrap();
    let none = show(&testing::deliver(any.as_ref(), &job(), &Value::Null).await);
    assert!(none.starts_with("retry ") && none.contains("cannot be read"), "{none}");
}

#[test]
fn the_settings_are_checked() {
    insta::assert_snapshot!(problems("kind: wasm\nmodule: ../x.wasm\nsha256: abc\nmemory: 5GiB\nfuel: 0\nuser: x"), @r"
    module: expected a path inside the configuration folder
    sha256: expected 64 hexadecimal digits, as sha256sum prints them
    fuel: expected a whole number from 1 to 4294967295
    memory: is more than a module can have: 4GiB at most
    user: unknown key: expected one of args, batch, breaker, concurrency, destructive, env, fuel, guard, kind, max_age, memory, module, ordered, rate, retry, retry_on, sha256, timeout
    ");
    insta::assert_snapshot!(problems("kind: wasm"), @"module: is missing: for example module: modules/open-ticket.wasm");
    let (folder, _) = folder(b"#!/bin/sh");
    let found = lines(validate("kind: wasm\nmodule: modules/x.wasm").unwrap().resolve(folder.path()).err().unwrap());
    assert!(found.starts_with("module: ") && found.ends_with("x.wasm: it is no WebAssembly module"), "{found}");
}
