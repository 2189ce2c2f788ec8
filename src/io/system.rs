//! What differs between operating systems: reads at a position, opens that never wait, what is below a folder, the
//! identity and the owner of files, signals. Nothing else names one of them.

#[cfg(not(unix))]
pub(super) use other::*;
#[cfg(unix)]
pub(super) use posix::*;

#[cfg(unix)]
mod posix {
    use std::fs::{File, Metadata, OpenOptions};
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use rustix::fs::{AtFlags, FileType, Mode, OFlags};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    use super::super::Links;

    pub(in super::super) fn read_exact_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<()> {
        file.read_exact_at(buffer, position)
    }

    pub(in super::super) fn write_all_at(file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        file.write_all_at(bytes, position)
    }

    /// Only the owner reads the file that is made.
    pub(in super::super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
        options.mode(0o600)
    }

    /// Whether two names are of one file.
    pub(in super::super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    }

    /// Without waiting: a pipe has no writer yet, and a device may not be ready.
    const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

    /// Opens a file without waiting for anything.
    pub(in super::super) fn open(path: &Path) -> io::Result<File> {
        Ok(rustix::fs::open(path, READ, Mode::empty())?.into())
    }

    /// The same when the last name must be no link.
    pub(in super::super) fn open_no_link(path: &Path) -> io::Result<File> {
        Ok(rustix::fs::open(path, READ.union(OFlags::NOFOLLOW), Mode::empty())?.into())
    }

    /// A folder that is open, so that the names before those of its files are followed once.
    pub(in super::super) struct Folder {
        handle: OwnedFd,
        links: Links,
    }

    /// A file in a folder that is open.
    pub(in super::super) struct Found {
        folder: Arc<Folder>,
        name: String,
        pub(in super::super) length: u64,
        pub(in super::super) modified: Option<SystemTime>,
    }

    impl Folder {
        /// The folder of this name below another; `None` when a link leads out, or may, or when the system cannot tell.
        pub(in super::super) fn open(root: &Path, name: &str, links: Links) -> Option<Self> {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let handle = match links {
                Links::Anywhere => rustix::fs::open(root.join(name), flags, Mode::empty()).ok()?,
                Links::Inside => folder_below(root, if name.is_empty() { "." } else { name }, flags)?,
            };
            Some(Self { handle, links })
        }

        /// The file of this name; `None` of what is none, is not there, or is a link that may lead out.
        pub(in super::super) fn find(self: &Arc<Self>, name: &str) -> Option<Found> {
            let flags = match self.links {
                Links::Anywhere => AtFlags::empty(),
                Links::Inside => AtFlags::SYMLINK_NOFOLLOW,
            };
            let stat = rustix::fs::statat(&self.handle, name, flags).ok()?;
            let since = || {
                let (seconds, nanoseconds) = (stat.st_mtime, stat.st_mtime_nsec);
                Some(Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?))
            };
            let modified = since().and_then(|since| UNIX_EPOCH.checked_add(since));
            let length = u64::try_from(stat.st_size).ok()?;
            let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
            is_file.then(|| Found { folder: Arc::clone(self), name: name.to_owned(), length, modified })
        }
    }

    impl Found {
        /// Opens the file without waiting for anything.
        pub(in super::super) fn open(&self) -> Option<File> {
            let flags = match self.folder.links {
                Links::Anywhere => READ,
                Links::Inside => READ.union(OFlags::NOFOLLOW),
            };
            Some(rustix::fs::openat(&self.folder.handle, &self.name, flags, Mode::empty()).ok()?.into())
        }
    }

    #[cfg(target_os = "linux")]
    fn folder_below(root: &Path, name: &str, flags: OFlags) -> Option<OwnedFd> {
        use rustix::fs::{ResolveFlags, openat2};
        let root = rustix::fs::open(root, flags, Mode::empty()).ok()?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        openat2(&root, name, flags, Mode::empty(), resolve).ok()
    }

    #[cfg(not(target_os = "linux"))]
    fn folder_below(_: &Path, _: &str, _: OFlags) -> Option<OwnedFd> {
        None
    }

    /// Opens a file below a folder, in one call that no change of a name in between can lead elsewhere. `None` when
    /// a link leads out, or may, or when the system has no such call.
    #[cfg(target_os = "linux")]
    pub(in super::super) fn open_below(folder: &Path, name: &Path) -> io::Result<Option<File>> {
        use rustix::fs::{ResolveFlags, openat2};
        use rustix::io::Errno;
        let folder =
            rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        match openat2(&folder, name, READ, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)
        {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::XDEV | Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(in super::super) fn open_below(_: &Path, _: &Path) -> io::Result<Option<File>> {
        Ok(None)
    }

    /// Brings the names in a folder to the disk.
    pub(in super::super) fn sync_names(folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    /// Brings everything of the file system of a folder to the disk: one call costs a hundredth of one for each of ten
    /// thousand files. Whether there is such a call.
    #[cfg(target_os = "linux")]
    pub(in super::super) fn sync_file_system(folder: &Path) -> io::Result<bool> {
        rustix::fs::syncfs(File::open(folder)?)?;
        Ok(true)
    }

    #[cfg(not(target_os = "linux"))]
    pub(in super::super) fn sync_file_system(_: &Path) -> io::Result<bool> {
        Ok(false)
    }

    /// Waits for signals that end a process, in a thread of its own, and hands each to `act`. Those that are ignored
    /// stay so, as behind nohup and in the background of a script.
    pub(in super::super) fn on_signals(act: impl Fn(i32) + Send + 'static) -> io::Result<()> {
        let ignored = ignored_signals();
        let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let mut signals = signal_hook::iterator::Signals::new(wanted)?;
        let wait = move || signals.forever().for_each(act);
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
    }

    /// A mask of the signals that are ignored; where the system does not say there are none.
    fn ignored_signals() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }

    /// Ends the process as the signal would have: shells tell a script that was interrupted by that.
    pub(in super::super) fn die_of(signal: i32) {
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }

    /// Whether it is the signal of a scheduler that wants its machine back.
    pub(in super::super) fn is_termination(signal: i32) -> bool {
        signal == SIGTERM
    }
}

#[cfg(not(unix))]
mod other {
    use std::fs::{File, Metadata, OpenOptions};
    use std::io::{self, Read, Seek, SeekFrom, Write};
    use std::path::Path;
    use std::sync::{Arc, Mutex};
    use std::time::SystemTime;

    use super::super::Links;

    /// Folders are not held open here: there is none of these.
    pub(in super::super) enum Folder {}

    /// Nor of these.
    pub(in super::super) struct Found {
        folder: Arc<Folder>,
        pub(in super::super) length: u64,
        pub(in super::super) modified: Option<SystemTime>,
    }

    impl Folder {
        pub(in super::super) fn open(_: &Path, _: &str, _: Links) -> Option<Self> {
            None
        }

        pub(in super::super) fn find(self: &Arc<Self>, _: &str) -> Option<Found> {
            match **self {}
        }
    }

    impl Found {
        pub(in super::super) fn open(&self) -> Option<File> {
            match *self.folder {}
        }
    }

    /// A file has one position: whoever moves it holds this.
    static POSITION: Mutex<()> = Mutex::new(());

    pub(in super::super) fn read_exact_at(
        mut file: &File,
        buffer: &mut [u8],
        position: u64,
    ) -> io::Result<()> {
        let _held = POSITION.lock();
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(buffer)
    }

    /// The position is that of before: what is written next is appended.
    pub(in super::super) fn write_all_at(mut file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        let _held = POSITION.lock();
        let before = file.stream_position()?;
        file.seek(SeekFrom::Start(position))?;
        file.write_all(bytes)?;
        file.seek(SeekFrom::Start(before)).map(drop)
    }

    pub(in super::super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
        options
    }

    pub(in super::super) fn is_same(_: &Metadata, _: &Metadata) -> bool {
        true
    }

    pub(in super::super) fn open(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(in super::super) fn open_no_link(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(in super::super) fn open_below(_: &Path, _: &Path) -> io::Result<Option<File>> {
        Ok(None)
    }

    pub(in super::super) fn sync_names(_: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(in super::super) fn sync_file_system(_: &Path) -> io::Result<bool> {
        Ok(false)
    }

    pub(in super::super) fn on_signals(_: impl Fn(i32) + Send + 'static) -> io::Result<()> {
        Ok(())
    }

    pub(in super::super) fn die_of(_: i32) {}

    pub(in super::super) fn is_termination(_: i32) -> bool {
        false
    }
}
