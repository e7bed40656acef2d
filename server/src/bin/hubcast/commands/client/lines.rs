//! Reads lines in the background.

use std::io::{self, BufRead, BufReader, Read};
use std::thread;
use tokio::sync::mpsc;

/// Reads lines in a thread of its own. It waits when two batches are read and not taken, so little is kept in memory
/// however large the input is.
pub(crate) fn read_lines(from: impl Read + Send + 'static) -> mpsc::Receiver<Result<Vec<String>, String>> {
    let (give, batches) = mpsc::channel(1);
    thread::spawn(move || {
        let mut lines = Lines::new(BufReader::with_capacity(CHUNK, from));
        while let Some(batch) = lines.next_batch() {
            let is_over = batch.is_err();
            if give.blocking_send(batch).is_err() || is_over {
                return;
            }
        }
    });
    batches
}

/// Lines of a reader.
struct Lines<R> {
    from: R,
    number: u64,
    /// The beginning of a line whose end is not read yet.
    begun: Vec<u8>,
    is_over: bool,
    fault: Option<String>,
}

impl<R: BufRead> Lines<R> {
    fn new(from: R) -> Self {
        Self { from, number: 0, begun: Vec::new(), is_over: false, fault: None }
    }

    /// The lines that can be read without waiting, but at least one; `None` at the end. The lines before a fault come
    /// before it.
    fn next_batch(&mut self) -> Option<Result<Vec<String>, String>> {
        let mut lines = Vec::new();
        while lines.is_empty() && !self.is_over {
            if let Err(why) = self.read(&mut lines) {
                (self.fault, self.is_over) = (Some(why), true);
            }
        }
        match lines.is_empty() {
            true => self.fault.take().map(Err),
            false => Some(Ok(lines)),
        }
    }

    /// Reads once.
    fn read(&mut self, lines: &mut Vec<String>) -> Result<(), String> {
        let chunk = match self.from.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let read = chunk.len();
        if read == 0 {
            self.is_over = true;
            if !self.begun.is_empty() {
                lines.push(line(&mut self.number, std::mem::take(&mut self.begun))?);
            }
            return Ok(());
        }
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            if self.begun.len() + text.len() > MAX_LINE {
                return Err(format!("line {}: it has more than {MAX_LINE} bytes", self.number + 1));
            }
            self.begun.extend_from_slice(text);
            if is_whole {
                lines.push(line(&mut self.number, std::mem::take(&mut self.begun))?);
            }
        }
        self.from.consume(read);
        Ok(())
    }
}

fn line(number: &mut u64, bytes: Vec<u8>) -> Result<String, String> {
    *number += 1;
    String::from_utf8(bytes).map_err(|_| format!("line {number}: it is not UTF-8"))
}

/// The most bytes of a line, and of a message.
pub(crate) const MAX_LINE: usize = 16 << 20;

/// So much is read at once, in bytes.
const CHUNK: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<String>, Option<String>) {
        // A small buffer, so that lines are cut anywhere.
        let mut lines = Lines::new(BufReader::with_capacity(3, bytes));
        let mut all = Vec::new();
        while let Some(batch) = lines.next_batch() {
            match batch {
                Ok(batch) => all.extend(batch),
                Err(why) => return (all, Some(why)),
            }
        }
        (all, None)
    }

    #[test]
    fn each_line_is_a_message_and_so_is_an_empty_one() {
        assert_eq!(
            read(b"one\n\nthree\r\nlast"),
            (vec!["one".into(), "".into(), "three\r".into(), "last".into()], None)
        );
        assert_eq!(read(b""), (vec![], None));
        assert_eq!(read(b"\n"), (vec![String::new()], None));
    }

    #[test]
    fn a_fault_is_told_with_its_line_after_those_before_it() {
        let (lines, fault) = read(b"one\ntw\xffo\nthree\n");
        assert_eq!((lines.as_slice(), fault.as_deref()), (&["one".to_owned()][..], Some("line 2: it is not UTF-8")));
        let long = [b"short\n".as_slice(), &vec![b'x'; MAX_LINE + 1]].concat();
        let (lines, fault) = read(&long);
        assert_eq!(lines, ["short"]);
        assert!(fault.unwrap().starts_with("line 2: it has more than 16777216 bytes"));
    }
}
