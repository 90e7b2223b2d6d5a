//! How the program makes and reads files. Files of its own are written whole and follow no links. What it is told to
//! write to is taken as it is. Files of others are read up to a bound. This room knows no format.

mod appended;
mod given;
mod name;
mod own;
mod place;
mod read;
mod whole;

pub use appended::Appended;
pub use given::Given;
pub use name::text_of;
pub(crate) use own::{create, open_lock, open_own, wait_for_lock};
pub(crate) use place::{read_at, write_at};
pub(crate) use read::{MAX_LINE, lines, open_regular, read, read_text};
pub(crate) use whole::{PARTIAL, Whole, free_space, make_folder, remove_partial, scratch};
pub use whole::{WriteError, rename_whole, replace_whole, write_whole, write_whole_keeping};
