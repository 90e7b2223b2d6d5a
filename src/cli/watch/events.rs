//! What the system says of changes in a folder.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};

/// A change in a folder.
pub(super) enum Change {
    /// A file was made or written to, and may be written to again.
    Touched(PathBuf),
    /// A file was closed after writing, or moved here.
    Complete(PathBuf),
    /// A folder was made or moved here, with or without files.
    Folder(PathBuf),
    /// There were more changes than the system keeps.
    Lost,
    /// Of some changes the system does not tell.
    Failed(notify::Error),
}

/// The changes in a folder, from when it is made.
pub(super) struct Events {
    changes: Receiver<Change>,
    /// Keeps the channel open where nobody sends.
    _sender: Sender<Change>,
    /// Sends until it is dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl Events {
    /// None.
    pub(super) fn none() -> Self {
        let (sender, changes) = channel();
        Self { changes, _sender: sender, _watcher: None }
    }

    /// Those in a folder and all below it. Links are followed.
    ///
    /// # Errors
    /// A folder that is not there, or that the system does not watch: its limit is reached, or it is on no disk of this
    /// machine.
    pub(super) fn below(folder: &Path) -> notify::Result<Self> {
        let (sender, changes) = channel();
        let to = sender.clone();
        // Where nobody hears it any more, the program ends.
        let mut watcher = recommended_watcher(move |event| tell(event, &mut |change| drop(to.send(change))))?;
        watcher.watch(folder, RecursiveMode::Recursive)?;
        Ok(Self { changes, _sender: sender, _watcher: Some(watcher) })
    }

    /// The changes until now; of none, the next within some time.
    pub(super) fn wait(&self, most: Duration) -> Vec<Change> {
        // The channel stays open: this end has a sender of its own.
        let first = self.changes.recv_timeout(most).ok();
        first.into_iter().chain(self.changes.try_iter()).collect()
    }
}

/// Says what an event means for pictures.
fn tell(event: notify::Result<Event>, say: &mut dyn FnMut(Change)) {
    let event = match event {
        Ok(event) => event,
        Err(error) => return say(Change::Failed(error)),
    };
    if event.need_rescan() {
        return say(Change::Lost);
    }
    let file = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => Change::Complete,
        EventKind::Access(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => return,
        EventKind::Create(CreateKind::Folder) => Change::Folder,
        _ => Change::Touched,
    };
    // Systems do not always tell a folder from a file.
    let comes = matches!(event.kind, EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)));
    for path in event.paths {
        say(if comes && path.is_dir() { Change::Folder(path) } else { file(path) });
    }
}
