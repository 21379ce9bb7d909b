use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A log file and its writer, which appends as programs do.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    pub fn create(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_owned();
        let file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        Self { path, file }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One write.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.file.write_all(bytes.as_ref()).unwrap();
    }

    /// One write a line.
    pub fn lines<T: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = T>) {
        for line in lines {
            self.write(format!("{}\n", line.as_ref()));
        }
    }

    pub fn truncate(&mut self, len: u64) {
        self.file.set_len(len).unwrap();
    }

    /// Moves the file to `name.suffix`; the writer goes on writing to it.
    pub fn rename(&self, suffix: &str) -> PathBuf {
        let mut to = self.path.clone().into_os_string();
        to.push(suffix);
        fs::rename(&self.path, &to).unwrap();
        to.into()
    }

    pub fn remove(&self) {
        fs::remove_file(&self.path).unwrap();
    }
}
