//! The static binaries are built by one recipe: scripts/build-static, a plain cargo and `cross` read the same flags and the
//! same versions, and README lists the targets that there are.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml_span::value::Table;

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(place(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn toml(source: &str) -> Table<'_> {
    match toml_span::parse(source).unwrap().take() {
        toml_span::value::ValueInner::Table(t) => t,
        other => panic!("{other:?}"),
    }
}

fn table<'a, 'b>(of: &'a Table<'b>, key: &str) -> &'a Table<'b> {
    of.get(key).and_then(|v| v.as_table()).unwrap_or_else(|| panic!("[{key}]"))
}

fn keys(of: &Table<'_>) -> BTreeSet<String> {
    of.keys().map(|k| k.name.to_string()).collect()
}

/// The targets of scripts/build-static.
fn targets() -> BTreeSet<String> {
    let script = text("scripts/static.sh");
    let line = script.lines().find_map(|l| l.strip_prefix("STATIC_TARGETS=\"")).unwrap();
    line.trim_end_matches('"').split(' ').map(str::to_string).collect()
}

#[test]
fn cross_builds_the_targets_that_build_static_builds_in_one_image() {
    let source = text("Cross.toml");
    let cross = toml(&source);
    // Anything more than the image (other flags, an other std) would be a second recipe.
    assert_eq!(keys(&cross), BTreeSet::from(["target".to_string()]));
    let by_target = table(&cross, "target");
    assert_eq!(keys(by_target), targets());
    assert_eq!(targets().len(), 4);
    for t in targets() {
        let one = table(by_target, &t);
        assert_eq!(keys(one), BTreeSet::from(["dockerfile".to_string()]), "{t}");
        let dockerfile = one.get("dockerfile").unwrap().as_str().unwrap();
        assert!(place(dockerfile).is_file(), "{t}: {dockerfile}");
    }
}

#[test]
fn each_target_has_its_compiler_and_the_same_flags() {
    use std::os::unix::fs::PermissionsExt;
    let source = text(".cargo/config.toml");
    let config = toml(&source);
    let (by_target, env) = (table(&config, "target"), table(&config, "env"));
    assert_eq!(keys(by_target), targets());
    let flags = |t: &str| {
        format!(
            "{:?}",
            table(by_target, t)
                .get("rustflags")
                .unwrap()
                .as_array()
                .unwrap()
                .iter()
                .map(|f| f.as_str().unwrap().to_string())
                .collect::<Vec<_>>()
        )
    };
    let tool = |name: &str| {
        let t = table(env, name);
        assert_eq!(t.get("relative").unwrap().as_bool(), Some(true), "{name}");
        t.get("value").unwrap().as_str().unwrap().to_string()
    };
    let mut tools = BTreeSet::from([tool("OPENSSL_SRC_PERL")]);
    for t in targets() {
        let name = t.replace('-', "_");
        let compiler = format!("cross/{t}-cc");
        assert_eq!(table(by_target, &t).get("linker").unwrap().as_str(), Some(compiler.as_str()));
        assert_eq!(tool(&format!("CC_{name}")), compiler);
        assert_eq!(flags(&t), flags("armv7-unknown-linux-musleabihf"));
        assert!(env.get(format!("CFLAGS_{name}").as_str()).unwrap().as_str().unwrap().starts_with("-Os "));
        tools.extend([compiler, tool(&format!("AR_{name}")), tool(&format!("RANLIB_{name}"))]);
    }
    for t in tools {
        assert!(std::fs::metadata(place(&t)).unwrap_or_else(|e| panic!("{t}: {e}")).permissions().mode() & 0o111 != 0, "{t}");
    }
}

#[test]
fn the_image_has_the_versions_and_packages_of_build_static() {
    // Every package that gets into a binary has one version and a sum.
    let requirements = text("cross/requirements.txt").replace("\\\n", " ");
    let pinned: Vec<&str> = requirements.lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(pinned.iter().map(|l| l.split("==").next().unwrap()).collect::<Vec<_>>(), ["ziglang", "cargo-zigbuild"]);
    assert!(pinned.iter().all(|l| l.matches("--hash=sha256:").count() >= 1), "{pinned:?}");

    let (image, script, lib) = (text("cross/Dockerfile"), text("scripts/static.sh"), text("scripts/lib.sh"));
    let install = |text: &str| text.lines().filter(|l| l.contains("pip") && l.contains("--require-hashes -r")).count();
    assert_eq!((install(&image), install(&lib), install(&script)), (1, 1, 0));
    assert!(image.contains("COPY requirements.txt ") && lib.contains("cross/requirements.txt") && script.contains("need_zig\n"));
    // A version in one of them would be a second one.
    for text in [&image, &script, &lib, &text("scripts/build-static"), &text("cross/cc")] {
        assert!(!text.contains("ziglang==0") && !text.contains("cargo-zigbuild=="), "{text}");
    }
    // No flag in the image; .cargo/config.toml has them.
    let set: Vec<&str> = image.lines().filter_map(|l| l.strip_prefix("ENV ")).map(|l| l.split('=').next().unwrap()).collect();
    assert_eq!(set, ["PATH", "ZIG_GLOBAL_CACHE_DIR"]);

    let packages = |text: &str| -> Vec<String> {
        let line = text.lines().find_map(|l| l.trim().strip_prefix("need_packages python3")).unwrap();
        format!("python3{line}").split(' ').map(str::to_string).collect()
    };
    let joined = image.replace("\\\n", " ");
    let given: BTreeSet<&str> = joined.lines().find(|l| l.contains("apt-get install")).unwrap().split(' ').collect();
    for package in packages(&script).iter().chain(&packages(&lib)).filter(|w| !w.contains('$')) {
        assert!(given.contains(package.as_str()), "the image lacks {package}");
    }
}

#[test]
fn a_binary_that_may_meet_an_older_processor_looks_at_it_first() {
    let build = text("build.rs");
    for t in targets() {
        assert_eq!(build.contains(&format!("\"{t}\"")), t.starts_with("arm"), "{t}");
    }
    // What the ARMv7 one names is a target that there is.
    let entry = text("src/entry.rs");
    let named = entry.split(": take ").nth(1).unwrap().split('"').next().unwrap();
    assert!(targets().contains(named), "{named}");
}
