use super::*;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;

fn disk() -> (tempfile::TempDir, Disk) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    (dir, disk)
}

fn put(disk: &Disk, at: &Dir, name: &[u8], bytes: &[u8]) {
    disk.create(at, name, 0o644).unwrap().write_all(bytes).unwrap();
}

fn get(disk: &Disk, at: &Dir, name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    disk.open(at, name).unwrap().read_to_end(&mut out).unwrap();
    out
}

fn errno(r: io::Result<impl Sized>) -> Errno {
    Errno::from_io_error(&r.err().expect("this must fail")).expect("an error of the system")
}

#[test]
fn opening_probes_and_leaves_nothing() {
    let (_t, disk) = disk();
    assert!(disk.list(&disk.root()).unwrap().is_empty());
    let traits = disk.traits();
    assert!(traits.exec_bit && traits.modes && traits.links);
}

#[test]
fn beyond_four_gigabytes() {
    let (_t, disk) = disk();
    let root = disk.root();
    let far = 1u64 << 32;
    let f = disk.create(&root, b"f", 0o600).unwrap();
    f.set_len(far + 100).unwrap();
    f.write_at(far - 2, b"four").unwrap();
    f.write_at(2 * far, b"eight").unwrap();
    assert_eq!((f.stat().unwrap().size, disk.stat(&root, b"f").unwrap().unwrap().size), (2 * far + 5, 2 * far + 5));
    let read = |at: u64| {
        let mut buf = [9; 6];
        let n = disk.open(&root, b"f").unwrap().read_up_to(at, &mut buf).unwrap();
        buf[..n].to_vec()
    };
    assert_eq!(read(far - 3), b"\0four\0");
    assert_eq!((read(2 * far), read(0), read(2 * far + 5)), (b"eight".to_vec(), vec![0; 6], vec![]));
    f.set_len(far + 1).unwrap();
    assert_eq!((f.stat().unwrap().size, read(far - 2)), (far + 1, b"fou".to_vec()));
    // The system's own bound, which no offset of a damaged file may pass as another one.
    assert!(f.read_at(1 << 63, &mut [0; 4]).is_err() && f.write_at(u64::MAX - 3, b"four").is_err());
}

#[test]
fn times_beyond_32_bits() {
    let (t, disk) = disk();
    let root = disk.root();
    let f = disk.create(&root, b"f", 0o600).unwrap();
    disk.symlink(b"f", &root, b"l").unwrap();
    // ext4, btrfs, tmpfs. Most disks of today keep them; some end in 2038 or 2106 and take the nearest, which is no error.
    #[cfg(target_os = "linux")]
    let keeps = [0xef53, 0x9123_683e, 0x0102_1994].contains(&(fs::statfs(t.path()).unwrap().f_type as u32));
    #[cfg(not(target_os = "linux"))]
    let (keeps, _) = (false, t);
    for s in [1 - (1 << 31), -1, 1 << 31, (1 << 31) + 5, (1 << 32) - 1, 1 << 32, 10_000_000_000] {
        let time = Time { s, ns: 5 };
        f.set_mtime(time).unwrap();
        disk.set_link_mtime(&root, b"l", time).unwrap();
        let seen = [f.stat().unwrap().mtime, disk.stat(&root, b"l").unwrap().unwrap().mtime];
        assert!(!keeps || seen == [time, time], "{s}: {seen:?}");
    }
}

#[test]
fn a_root_that_cannot_be_written_to_still_opens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ro");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    // (For the superuser this root can be written to; then it is probed like any other.)
    assert!(Disk::open(&path).unwrap().traits().modes);
    assert!(Disk::open(&dir.path().join("absent")).is_err());
}

#[test]
fn files_are_written_read_cut_and_dated() {
    let (_t, disk) = disk();
    let root = disk.root();
    let mut f = disk.create(&root, b"f", 0o600).unwrap();
    f.write_all(b"hello").unwrap();
    f.write_at(8, b"x").unwrap();
    f.set_len(10).unwrap();
    let t = Time { s: -5, ns: 999_999_999 };
    f.set_mtime(t).unwrap();
    f.set_mode(0o640).unwrap();
    f.sync().unwrap();
    let s = f.stat().unwrap();
    assert_eq!((s.kind, s.size, s.mode, s.mtime), (Kind::File, 10, 0o640, t));
    assert_eq!(disk.stat(&root, b"f").unwrap().unwrap(), s);
    assert!(!s.exec() && !s.private());
    let mut buf = [9; 4];
    assert_eq!(f.read_at(7, &mut buf).unwrap(), 3);
    assert_eq!(buf, [0, b'x', 0, 9]);
    assert_eq!(f.read_at(10, &mut buf).unwrap(), 0);
    assert_eq!(get(&disk, &root, b"f"), b"hello\0\0\0x\0");
    assert_eq!(errno(disk.create(&root, b"f", 0o600)), Errno::EXIST);
    assert_eq!(disk.stat(&root, b"absent").unwrap(), None);
    assert_eq!(errno(disk.open(&root, b"absent")), Errno::NOENT);
    let mut rw = disk.open_rw(&root, b"f").unwrap();
    rw.write_all(b"J").unwrap();
    assert_eq!(&get(&disk, &root, b"f")[..5], b"Jello");
    assert!(disk.free().unwrap() > 0);
    disk.sync_dir(&root).unwrap();
    disk.sync_all().unwrap();
}

#[test]
fn directories_and_links() {
    let (_t, disk) = disk();
    let root = disk.root();
    disk.mkdir(&root, b"d", 0o700).unwrap();
    assert_eq!(errno(disk.mkdir(&root, b"d", 0o700)), Errno::EXIST);
    let d = disk.open_dir(&root, b"d").unwrap();
    assert_eq!(disk.stat_dir(&d).unwrap(), disk.stat(&root, b"d").unwrap().unwrap());
    disk.symlink(b"../../etc", &d, b"l").unwrap();
    disk.set_link_mtime(&d, b"l", Time { s: 7, ns: 0 }).unwrap();
    let s = disk.stat(&d, b"l").unwrap().unwrap();
    assert_eq!((s.kind, s.size, s.mtime.s), (Kind::Link, 9, 7));
    assert_eq!(disk.readlink(&d, b"l").unwrap(), b"../../etc");
    assert_eq!(disk.list(&d).unwrap(), [((*b"l").into(), Some(Kind::Link))]);
    assert_eq!(errno(disk.rmdir(&root, b"d")), Errno::NOTEMPTY);
    assert_eq!(errno(disk.unlink(&root, b"d")).raw_os_error(), Errno::ISDIR.raw_os_error());
    disk.unlink(&d, b"l").unwrap();
    disk.rmdir(&root, b"d").unwrap();
    assert_eq!(errno(disk.create(&d, b"late", 0o600)), Errno::NOENT);
}

#[test]
fn a_planted_link_leads_nowhere() {
    let (t, disk) = disk();
    let root = disk.root();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), b"s").unwrap();
    std::os::unix::fs::symlink(outside.path(), t.path().join("dir")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), t.path().join("file")).unwrap();
    assert!(matches!(errno(disk.open_dir(&root, b"dir")), Errno::NOTDIR | Errno::LOOP));
    assert_eq!(errno(disk.open(&root, b"file")), Errno::LOOP);
    assert_eq!(errno(disk.open_rw(&root, b"file")), Errno::LOOP);
    assert_eq!(errno(disk.create(&root, b"file", 0o600)), Errno::EXIST);
    for name in [&b"dir/secret"[..], b"..", b".", b"", b"../x", b"/etc"] {
        assert_eq!(errno(disk.stat(&root, name)), Errno::INVAL, "{name:?}");
        assert_eq!(errno(disk.open(&root, name)), Errno::INVAL, "{name:?}");
    }
    assert_eq!(errno(disk.stat(&root, b"a\0b")), Errno::INVAL);
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    let (t, disk) = disk();
    let root = disk.root();
    #[cfg(target_os = "linux")]
    fs::mknodat(&root, &b"fifo"[..], FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(t.path().join("socket")).unwrap();
    #[cfg(target_os = "linux")]
    {
        assert_eq!(errno(disk.open(&root, b"fifo")), Errno::NXIO);
        assert_eq!(errno(disk.open_rw(&root, b"fifo")), Errno::NXIO);
    }
    assert_eq!(disk.stat(&root, b"socket").unwrap().unwrap().kind, Kind::Other);
    assert!(disk.open(&root, b"socket").is_err());
    disk.mkdir(&root, b"d", 0o755).unwrap();
    assert_eq!(errno(disk.open(&root, b"d")), Errno::ISDIR);
}

#[test]
fn renames_replace_refuse_and_exchange() {
    let (_t, disk) = disk();
    let root = disk.root();
    // Also as on disks that have neither call.
    for calls in [true, false] {
        let mut disk = disk.clone();
        disk.traits.noreplace &= calls;
        disk.traits.exchange &= calls;
        put(&disk, &root, b"a", b"A");
        put(&disk, &root, b"b", b"B");
        assert_eq!(errno(disk.rename_noreplace(&root, b"a", &root, b"b")), Errno::EXIST);
        assert_eq!(errno(disk.rename_noreplace(&root, b"absent", &root, b"c")), Errno::NOENT);
        if disk.traits().exchange {
            disk.exchange(&root, b"a", &root, b"b").unwrap();
            assert_eq!((get(&disk, &root, b"a"), get(&disk, &root, b"b")), (b"B".to_vec(), b"A".to_vec()));
            disk.exchange(&root, b"a", &root, b"b").unwrap();
        } else if !calls {
            let e = disk.exchange(&root, b"a", &root, b"b").unwrap_err();
            assert_eq!(e.kind(), io::ErrorKind::Unsupported);
        }
        disk.rename_noreplace(&root, b"a", &root, b"c").unwrap();
        assert_eq!(disk.stat(&root, b"a").unwrap(), None);
        disk.rename(&root, b"c", &root, b"b").unwrap();
        assert_eq!(get(&disk, &root, b"b"), b"A");
        disk.mkdir(&root, b"d", 0o755).unwrap();
        disk.mkdir(&root, b"e", 0o755).unwrap();
        assert_eq!(errno(disk.rename_noreplace(&root, b"d", &root, b"e")), Errno::EXIST);
        disk.rename_noreplace(&root, b"d", &root, b"f").unwrap();
        disk.symlink(b"t", &root, b"l").unwrap();
        disk.rename_noreplace(&root, b"l", &root, b"m").unwrap();
        assert_eq!(disk.readlink(&root, b"m").unwrap(), b"t");
        for (name, dir) in [(b"b", false), (b"m", false), (b"e", true), (b"f", true)] {
            if dir { disk.rmdir(&root, name).unwrap() } else { disk.unlink(&root, name).unwrap() }
        }
    }
}

#[test]
fn names_are_bytes() {
    let (t, disk) = disk();
    let root = disk.root();
    let long = [b'n'; 255];
    let names: [&[u8]; 4] = [b"two\nlines", b"\xff\xfe not utf-8", &long, b"-rf *"];
    for name in names {
        // (macOS disks take only UTF-8.)
        if cfg!(target_vendor = "apple") && std::str::from_utf8(name).is_err() {
            continue;
        }
        put(&disk, &root, name, name);
        assert_eq!(get(&disk, &root, name), name);
        assert!(t.path().join(std::ffi::OsStr::from_bytes(name)).exists());
        assert!(disk.list(&root).unwrap().iter().any(|(n, _)| &**n == name));
        disk.unlink(&root, name).unwrap();
    }
    assert_eq!(errno(disk.create(&root, &[b'n'; 256], 0o600)), Errno::NAMETOOLONG);
}

#[test]
fn trees_deeper_than_path_max() {
    let (_t, disk) = disk();
    let name = [b'd'; 200];
    let mut dirs = vec![disk.root()];
    for _ in 0..300 {
        let at = dirs.last().unwrap();
        disk.mkdir(at, &name, 0o755).unwrap();
        dirs.push(disk.open_dir(at, &name).unwrap());
    }
    put(&disk, dirs.last().unwrap(), b"bottom", b"60 000 bytes down");
    assert_eq!(get(&disk, dirs.last().unwrap(), b"bottom"), b"60 000 bytes down");
    // Walked from the root again, and removed from the bottom up.
    let mut at = disk.root();
    for _ in 0..300 {
        let listed = disk.list(&at).unwrap();
        assert_eq!(listed.len(), 1);
        at = disk.open_dir(&at, &listed[0].0).unwrap();
    }
    disk.unlink(&at, b"bottom").unwrap();
    dirs.pop();
    while let Some(at) = dirs.pop() {
        disk.rmdir(&at, &name).unwrap();
    }
    assert!(disk.list(&disk.root()).unwrap().is_empty());
}

#[test]
fn a_root_that_is_only_read_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a name"), "x").unwrap();
    let made = |name: &str| dir.path().join(name);
    // What a probe of another process is using.
    std::fs::create_dir(made(".sharelock-tmp-0123456789abcdef")).unwrap();
    std::fs::write(made(".sharelock-tmp-0123456789abcdef/a"), "x").unwrap();
    let before = std::fs::metadata(dir.path()).unwrap().modified().unwrap();
    let read = Disk::open_unprobed(dir.path()).unwrap();
    assert_eq!(std::fs::metadata(dir.path()).unwrap().modified().unwrap(), before);
    assert!(made(".sharelock-tmp-0123456789abcdef/a").exists());
    assert_eq!(read.traits().folds_case, Disk::open(dir.path()).unwrap().traits().folds_case);
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
    assert!(Disk::open_unprobed(dir.path()).is_ok());
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
}
