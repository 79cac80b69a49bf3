//! `ignored`: what is not followed, and which line says so.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt;
use support::Home;

fn vault() -> Home {
    let a = Home::new();
    a.write("a.txt", "a");
    a.write("old.log", "in the vault before it was ignored");
    a.init(&a.path("node.git").display().to_string());
    let config = a.path(".config/sharelock/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("ignore = [\"*.bak\",\n  \"*.tmp\"]\n{}", text.replace("\nignore = ", "\n# ignore = "))).unwrap();
    a.write("x.tmp", "by the configuration");
    a.write("a.txt~", "by default");
    a.write("d/build/o.txt", "by a file");
    a.write("d/.sharelockignore", "# what is made anew\nbuild/\n");
    a.write(".sharelockignore", "*.log\n");
    assert!(std::process::Command::new("mkfifo").arg(a.share("pipe")).status().unwrap().success());
    a
}

#[test]
fn each_has_its_line() {
    let a = vault();
    let out = a.ok(["ignored"]);
    let want = "5 files and folders of ~/share are not followed
  a.txt~     by default: *~
  d/build/   ~/share/d/.sharelockignore:2: build/
  old.log    ~/share/.sharelockignore:1: *.log; the vault has it as it was before
  pipe       a socket, pipe or device
  x.tmp      ~/.config/sharelock/config.toml:2: *.tmp
";
    assert_eq!(out, want);
    let json: serde_json::Value = serde_json::from_str(&a.ok(["ignored", "--json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 5);
    assert_eq!((&json[1]["at"], &json[1]["rule"]), (&"~/share/d/.sharelockignore:2".into(), &"build/".into()));
    assert_eq!((&json[3]["at"], &json[3]["in_vault"]), (&serde_json::Value::Null, &false.into()));
}

#[test]
fn one_path() {
    let a = vault();
    for (path, want) in [
        ("a.txt", "all of a.txt is followed\n"),
        ("nothing", "nothing is not there, and no rule keeps it from being followed\n"),
        ("x.tmp", "x.tmp is not followed\n  x.tmp   ~/.config/sharelock/config.toml:2: *.tmp\n"),
        (
            "d/build/o.txt",
            "d/build/o.txt is not followed, with the folder that it is in\n  d/build/   ~/share/d/.sharelockignore:2: build/\n",
        ),
        ("d", "1 file or folder of d is not followed\n  d/build/   ~/share/d/.sharelockignore:2: build/\n"),
        (".sharelock-root", ".sharelock-root is not followed\n  .sharelock-root   sharelock's own\n"),
    ] {
        assert_eq!(a.ok(["ignored", path]), want);
    }
    assert_eq!(a.run(["ignored", "/etc"]).code, 2);
}

#[test]
fn what_cannot_be_read_says_what_to_do() {
    let a = vault();
    a.write("closed one", "x");
    std::fs::set_permissions(a.share("closed one"), PermissionsExt::from_mode(0o0)).unwrap();
    let out = a.ok(["ignored"]);
    // Nothing is closed to root.
    let closed = std::fs::File::open(a.share("closed one")).is_err();
    assert_eq!(out.contains("can't be read: permission denied\n    do: chmod u+r ~/share/'closed one'\n"), closed, "{out}");
}
