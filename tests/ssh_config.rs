//! `~/.ssh/config`: `ssh -G` judges our reading, over random files.
#![allow(clippy::unwrap_used)]

use sharelock::error::Kind;
use sharelock::ssh::config::read;
use std::process::Command;

/// A small generator; each file comes from its number.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

fn config(seed: u64) -> String {
    let mut r = Random(seed);
    let mut out = String::new();
    for _ in 0..3 + r.below(12) {
        let eq = r.of(&[" ", "  ", "=", " = ", "\t"]);
        let line = match r.below(10) {
            0..3 => format!("Host {}", r.of(&["a", "*", "a b", "!a *", "a* !ab", "b", "?", "*.x a.x", "\"a\" c", "!b"])),
            3 => format!(
                "Match {}",
                r.of(&[
                    "all",
                    "host zz",
                    "originalhost b,c",
                    "host zz exec false",
                    "originalhost !a,zz",
                    "!host a,ab,a.x,b,h.*,real",
                    "user zz host y?y"
                ])
            ),
            4 => format!("  Port{eq}{}", r.of(&["1", "22", "65535"])),
            5 => format!("  user{eq}{}", r.of(&["u", "\"v w\"", "x # remark"])),
            6 => format!("HOSTNAME{eq}{}", r.of(&["real", "h.%h", "%h", "%%x"])),
            7 => format!("  IdentityFile{eq}{}", r.of(&["/k/1", "\"/k/2 2\"", "/k/3"])),
            8 => format!("  {}{eq}{}", r.of(&["HostKeyAlias", "IdentityAgent"]), r.of(&["/al", "/be"])),
            _ => r.of(&["# Host *", "", "  IdentitiesOnly yes", "IdentitiesOnly no", "ForwardX11 no", "ProxyJump none"]).to_string(),
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

#[test]
fn ssh_reads_random_files_as_we_do() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config");
    let (mut same, mut refused) = (0, 0);
    for seed in 0..300 {
        let text = config(seed);
        std::fs::write(&file, &text).unwrap();
        for host in ["a", "ab", "a.x", "b"] {
            let ours = match read(&file, host, home.path()) {
                Ok(c) => c,
                // A Match that could apply: nothing is guessed.
                Err(e) => {
                    assert!(e.kind() == Kind::Usage && e.what().contains("Match could apply"), "{e}\n{text}");
                    refused += 1;
                    continue;
                }
            };
            let out = Command::new("ssh").arg("-G").arg("-F").arg(&file).arg(host).output().expect("ssh: apt-get install openssh-client");
            assert!(out.status.success(), "{}\n{text}", String::from_utf8_lossy(&out.stderr));
            let theirs = String::from_utf8(out.stdout).unwrap();
            let values =
                |key: &str| theirs.lines().filter_map(|l| l.strip_prefix(key)?.strip_prefix(' ')).map(str::to_string).collect::<Vec<_>>();
            let what = format!("seed {seed}, host {host}\n{text}");
            assert_eq!([ours.host_name.unwrap_or_else(|| host.into())], *values("hostname"), "{what}");
            assert_eq!([ours.port.unwrap_or(22).to_string()], *values("port"), "{what}");
            if let Some(user) = ours.user {
                assert_eq!([user], *values("user"), "{what}");
            }
            if !ours.identity_files.is_empty() {
                let files: Vec<String> = ours.identity_files.iter().map(|p| p.display().to_string()).collect();
                assert_eq!(files, values("identityfile"), "{what}");
            }
            assert_eq!(ours.identities_only.unwrap_or(false), values("identitiesonly") == ["yes"], "{what}");
            assert_eq!(ours.host_key_alias.into_iter().collect::<Vec<_>>(), values("hostkeyalias"), "{what}");
            assert_eq!(ours.identity_agent.into_iter().collect::<Vec<_>>(), values("identityagent"), "{what}");
            same += 1;
        }
    }
    assert!(same > 300 && refused < same, "{same} files were compared, {refused} refused");
}

/// `ssh -G` and our reading of keys, files and agents.
#[test]
fn config_as_ssh_reads_it() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config");
    let path = |name: &str| home.path().join(name).display().to_string();
    for text in [
        format!("IdentityFile {}/%h-%n-%p-%r\nHostName real.%h\nPort 77\nUser me\n", path("d")),
        "ProxyJump none\nHost *\n ProxyJump elsewhere\n User a\n".to_string(),
        "ProxyCommand none\nUser a\n".to_string(),
        format!("UserKnownHostsFile {} {}\nUserKnownHostsFile {}\n", path("a"), path("b"), path("c")),
        "UserKnownHostsFile none\n".to_string(),
        format!("IdentityAgent {}\nIdentityAgent none\n", path("s")),
        "IdentitiesOnly yes\nIdentitiesOnly no\nHostKeyAlias  other\n".to_string(),
        format!("Host x\n IdentityFile {0}/1\nHost h y\n IdentityFile {0}/2\nHost *\n IdentityFile {0}/3\n", path("d")),
    ] {
        std::fs::write(&file, &text).unwrap();
        let ours = read(&file, "h", home.path()).unwrap_or_else(|e| panic!("{text}: {e}"));
        let out = Command::new("ssh").arg("-G").arg("-F").arg(&file).arg("h").output().unwrap();
        let theirs = String::from_utf8(out.stdout).unwrap();
        let values =
            |key: &str| theirs.lines().filter_map(|l| l.strip_prefix(key)?.strip_prefix(' ')).map(str::to_string).collect::<Vec<_>>();
        let show = |list: &[std::path::PathBuf]| list.iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        if !ours.identity_files.is_empty() {
            // -G shows tokens as they stand.
            assert_eq!(ours.identity_files.len(), values("identityfile").len(), "{text}");
            let theirs: Vec<String> = values("identityfile")
                .iter()
                .map(|f| f.replace("%h", "real.h").replace("%n", "h").replace("%p", "77").replace("%r", "me"))
                .collect();
            assert_eq!(show(&ours.identity_files), theirs, "{text}");
        }
        match &ours.known_hosts {
            Some(list) if list.is_empty() => assert_eq!(values("userknownhostsfile"), ["none"]),
            Some(list) => assert_eq!(show(list).join(" "), values("userknownhostsfile")[0], "{text}"),
            None => {}
        }
        if let Some(agent) = ours.identity_agent {
            assert_eq!([agent], *values("identityagent"), "{text}");
        }
        if let Some(only) = ours.identities_only {
            assert_eq!([if only { "yes" } else { "no" }], *values("identitiesonly"));
        }
        if let Some(alias) = ours.host_key_alias {
            assert_eq!([alias], *values("hostkeyalias"));
        }
    }
    for (text, at) in [
        ("User a\nProxyJump x\n", "config:2"),
        ("Match host h\nUser x\n", "config:1"),
        ("Host h\n ProxyCommand nc\n", "config:2"),
        ("Port x\n", "config:1"),
    ] {
        std::fs::write(&file, text).unwrap();
        let e = read(&file, "h", home.path()).unwrap_err();
        assert!(e.kind() == Kind::Usage && e.what().contains(at), "{e}");
    }
}
