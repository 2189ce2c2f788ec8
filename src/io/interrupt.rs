//! What a process leaves when a signal ends it: nothing, or what was asked to be kept.
//!
//! Only a command that calls [`clean_up_on_signals`] handles signals; a library does not do so of its own.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak, mpsc};

use super::system;

/// The exit code of a job that SIGTERM stopped and that can go on: EX_TEMPFAIL of sysexits.h.
const CAN_GO_ON: i32 = 75;

/// What is to be done at the end, and what is then to be said.
type CleanUp = dyn Fn() -> Option<String> + Send + Sync;

/// Everything that is to be done; what is over is gone.
static TO_DO: Mutex<Vec<Weak<CleanUp>>> = Mutex::new(Vec::new());
/// Whoever makes files or gives them names reads this; whoever cleans up writes it, and never lets go.
static GATE: RwLock<()> = RwLock::new(());
/// Who waits for a signal instead of ending by it.
static WAITING: Mutex<Option<mpsc::Sender<()>>> = Mutex::new(None);
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

/// While it is held a signal cleans up.
pub struct OnInterrupt(#[expect(dead_code, reason = "held for its drop")] Arc<CleanUp>);

impl OnInterrupt {
    /// Cleans up with `what` when a signal ends the process; it says what is kept.
    pub fn new(what: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        let what: Arc<CleanUp> = Arc::new(what);
        let mut all = TO_DO.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&what));
        Self(what)
    }
}

impl std::fmt::Debug for OnInterrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnInterrupt")
    }
}

/// Held while files are made or named: nothing appears behind a clean-up, and no exchange of names is cut in two.
pub(super) fn gate() -> RwLockReadGuard<'static, ()> {
    GATE.read().unwrap_or_else(PoisonError::into_inner)
}

/// From here on Ctrl-C, SIGTERM and SIGHUP end the process after it has removed what is not whole; `say` is told
/// what stays. Signals that are ignored stay ignored.
pub fn clean_up_on_signals(say: impl Fn(&str) + Send + 'static) {
    if IS_INSTALLED.swap(true, Ordering::Relaxed) {
        return;
    }
    let act = move |signal| {
        if let Some(waiting) = WAITING.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let _ = waiting.send(());
            return;
        }
        let _closed = GATE.write().unwrap_or_else(PoisonError::into_inner);
        let all = TO_DO.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: Vec<_> = all.iter().filter_map(|what| what.upgrade()?()).collect();
        kept.iter().for_each(|kept| say(kept));
        if !kept.is_empty() && system::is_termination(signal) {
            process::exit(CAN_GO_ON);
        }
        system::die_of(signal);
        // Where a signal does nothing by default, or does not exist.
        process::exit(128 + signal);
    };
    // Without a thread for it a signal ends the process as it does any other.
    let _ = system::on_signals(act);
}

/// Waits for a signal, which then ends nothing: for servers that a user ends.
pub fn wait_for_signal() {
    let (sender, receiver) = mpsc::channel();
    *WAITING.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    clean_up_on_signals(|_| {});
    let _ = receiver.recv();
    *WAITING.lock().unwrap_or_else(PoisonError::into_inner) = None;
}
