//! `report`: one page, whatever names there are.
#![allow(clippy::unwrap_used)]

mod support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use support::Home;

/// Names that want to be something else.
const HOSTILE: [&[u8]; 9] = [
    b"<script>alert(1)<!--",
    b"\"'><img src=x onerror=alert(2)>",
    b"<style>*{display:none}",
    b"line\nbreak\ttab\x1b[31m",
    "\u{202e}gpj.exe \u{2066}".as_bytes(),
    b"not utf-8 \xff\xfe",
    b"&lt;b&gt; &#x3c; ]]>",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{1f469}\u{200d}\u{1f680} zero\u{200b}width".as_bytes(),
    b"javascript:alert(3);https:evil.example",
];

/// Two devices with hostile names, a conflict, a problem, and a node that is away.
fn vault() -> (Home, Home) {
    let (a, b) = (Home::new(), Home::new());
    for (n, name) in HOSTILE.iter().enumerate() {
        let folder = a.path("share").join(OsStr::from_bytes(name));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(OsStr::from_bytes(name)), vec![b'x'; 20_000 * (n + 1)]).unwrap();
    }
    a.write("<u>todo\".txt", "one\n");
    let node = a.path("node.git").display().to_string();
    a.ok(["init", "--device", "<i>a'\"&", "--remote", &node, "--create", "--recovery-key-out", &a.path("rk").display().to_string()]);
    b.join(&node, &a, "<script>b");
    a.write("<u>todo\".txt", "from a\n");
    b.write("<u>todo\".txt", "from b\n");
    for h in [&a, &b, &a] {
        h.ok(["sync"]);
    }
    let usb = a.path("usb<b>'.git").display().to_string();
    a.ok(["remote", "add", "--create", "usb", &usb]);
    std::fs::rename(&usb, a.path("away")).unwrap();
    a.write("new", "not on usb");
    assert_eq!(a.run(["sync"]).code, 5);
    (a, b)
}

/// What a strict reader of XML makes of a page: a line for each tag with its attributes, and a last one with all text.
fn read(page: &std::path::Path) -> Vec<String> {
    let program = "
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
for e in root.iter():
    print(e.tag, *(f'{k}={v!r}' for k, v in e.attrib.items()))
print(repr(''.join(t for e in root.iter() if e.tag != 'style' for t in [e.text or '', e.tail or ''])))
";
    let out = support::ran(Command::new("python3").args(["-c", program]).arg(page).output().unwrap());
    assert_eq!(out.code, 0, "{}", out.err);
    out.out.lines().map(str::to_string).collect()
}

#[test]
fn a_page_with_hostile_names() {
    let (a, b) = vault();
    let out = a.ok(["report"]);
    assert!(out.starts_with("~/.local/state/sharelock/report.html tells how ~/share does\n"), "{out}");
    let page = a.path(".local/state/sharelock/report.html");
    assert_eq!(std::fs::metadata(&page).unwrap().permissions().mode() & 0o777, 0o600);
    let html = std::fs::read_to_string(&page).unwrap();
    let lines = read(&page);
    let (text, tags) = lines.split_last().unwrap();
    for line in tags {
        let tag = line.split(' ').next().unwrap();
        let known = "html head meta title style body main header h1 h2 h3 p br bdi section article ul li b small pre code svg \
                     rect path text span div footer";
        assert!(known.split_whitespace().any(|k| k == tag), "{line}");
        for attribute in ["on", "style=", "src=", "href=", "srcset=", "action=", "data="] {
            assert!(!line.split(' ').skip(1).any(|a| a.starts_with(attribute)), "{line}");
        }
    }
    assert_eq!(tags.iter().filter(|t| **t == "style").count(), 1);
    let policy = tags.iter().find(|t| t.contains("Content-Security-Policy")).unwrap();
    assert!(policy.contains("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert!(!html.contains("<script") && !html.contains("xmlns") && !html.contains('\u{202e}'));

    // What is shown is what they are called.
    for shown in [
        "<script>alert(1)<!--/",
        "<img src=x onerror=alert(2)>/",
        "<style>*{display:none}/",
        r"line\\nbreak\\ttab\\u{1b}[31m/",
        r"\\u{202e}gpj.exe \\u{2066}/",
        r"not utf-8 \\xff\\xfe/",
        "&lt;b&gt; &#x3c; ]]>/",
        r"zero\\u{200b}width/",
        "<i>a\\'\"&",
        "<script>b",
        "problems and conflicts",
        "changed on ",
        "(both versions are kept)",
        "sharelock conflicts --diff ",
        "sharelock doctor",
        " changes on 1 day within a year",
        "usb<b>\\'.git",
        "at most ",
        "has everything",
        "1 file behind",
    ] {
        assert!(text.contains(shown), "{shown}\n{text}");
    }
    // Both devices see one vault; a password is needed, as names and history are in it.
    assert!(b.ok(["report", "--out", &b.path("b.html").display().to_string()]).contains("b.html tells how "));
    read(&b.path("b.html"));
    std::fs::write(b.path("pw"), "wrong").unwrap();
    assert_eq!(b.run(["report"]).code, 4);
}

#[test]
fn nothing_but_a_report_is_replaced() {
    let a = Home::new();
    a.init(&a.path("node.git").display().to_string());
    let out = a.path("page.html");
    let report = |to: &std::path::Path| a.run([OsStr::new("report"), OsStr::new("--out"), to.as_os_str()]);
    assert_eq!(report(&out).code, 0);
    std::fs::set_permissions(&out, PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(report(&out).code, 0, "an older one is");
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    a.write("notes.txt", "somebody's only copy");
    symlink(&out, a.path("link.html")).unwrap();
    for there in [a.share("notes.txt"), a.path("link.html"), a.path("share")] {
        let r = report(&there);
        assert_eq!(r.code, 2, "{}", r.err);
        assert!(r.err.contains(" is there already, and no report of sharelock\n  nothing was changed\n"), "{}", r.err);
    }
    assert_eq!(a.read("notes.txt"), "somebody's only copy");
    assert!(a.path("link.html").is_symlink());
    let r = report(&a.path("secure/page.html"));
    assert!(r.code == 2 && r.err.contains("lies in secure"), "{}", r.err);
    assert_eq!(report(&a.path("nowhere/page.html")).code, 1);
    let rest: Vec<_> = std::fs::read_dir(a.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!rest.iter().any(|n| n.as_bytes().starts_with(b".sharelock-tmp")), "{rest:?}");
}

/// A vault that has sent nothing anywhere.
#[test]
fn a_vault_without_a_node() {
    let a = Home::new();
    a.ok(["init", "--device", "alpha", "--recovery-key-out", &a.path("rk").display().to_string()]);
    a.ok(["report"]);
    let lines = read(&a.path(".local/state/sharelock/report.html"));
    assert!(lines.last().unwrap().contains("there is none: everything is on this device only."), "{lines:?}");
}
