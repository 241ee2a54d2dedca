//! The thread that owns the connection, and group commit.

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::StoreError;

/// How many requests share one transaction at most: bounds how long the first of them waits.
const BATCH: usize = 512;

/// What a request does with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It only reads, which needs no lock: a database that another program has locked can still be read.
    Read,
    /// It may write.
    Write,
}

/// Where requests go, in order.
#[derive(Clone)]
pub(super) struct Requests(mpsc::Sender<Box<dyn Request>>);

impl Requests {
    /// Queues `work` and gives a future of its answer. The wait for a place in the queue is the
    /// backpressure that channels feel when the disk is slower than they are.
    pub(super) async fn enqueue<T, F>(&self, access: Access, work: F) -> Result<Answer<T>, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let pending = Pending { access, work: Some(work), result: None, answer };
        self.0.send(Box::new(pending)).await.map_err(|_| StoreError::Closed)?;
        Ok(Answer(answered))
    }
}

/// The answer to a queued request, after its commit.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Receiver<Result<T, StoreError>>);

impl<T> Answer<T> {
    /// Waits for the commit.
    ///
    /// # Errors
    /// Whatever kept the request from being committed.
    pub async fn committed(self) -> Result<T, StoreError> {
        self.0.await.map_err(|_| StoreError::Closed)?
    }
}

/// Ends the store at a commit as a crash would: what follows is never done, and nobody hears of what was.
/// For tests of what a crash leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fuse {
    /// The n-th commit that changes something, counted from 1, does not happen.
    Before(u64),
    /// It happens, and its requests are not answered.
    After(u64),
}

/// Starts the thread.
pub(super) fn start(connection: Connection, fuse: Option<Fuse>) -> Result<Requests, StoreError> {
    let (requests, queue) = mpsc::channel(BATCH);
    std::thread::Builder::new()
        .name("store".into())
        .spawn(move || serve(&connection, queue, fuse))
        .map_err(|error| StoreError::Stalled(error.to_string()))?;
    Ok(Requests(requests))
}

fn serve(connection: &Connection, mut queue: mpsc::Receiver<Box<dyn Request>>, fuse: Option<Fuse>) {
    let mut batch = Vec::new();
    let mut commits = 0;
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        let before = connection.total_changes();
        let committed = transaction(connection, &mut batch, fuse == Some(Fuse::Before(commits + 1)));
        commits += u64::from(connection.total_changes() != before);
        if matches!(fuse, Some(Fuse::Before(at) | Fuse::After(at)) if at == commits) {
            return;
        }
        for request in batch.drain(..) {
            request.answer(&committed);
        }
    }
    // The write-ahead log is folded back so that a copied file is whole.
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "the store's last checkpoint failed");
    }
}

/// Runs the requests and commits; with `burn`, undoes what they changed instead.
fn transaction(connection: &Connection, batch: &mut [Box<dyn Request>], burn: bool) -> Result<(), StoreError> {
    let writes = batch.iter().any(|request| request.access() == Access::Write);
    connection.execute_batch(if writes { "BEGIN IMMEDIATE" } else { "BEGIN" })?;
    for request in batch.iter_mut() {
        if let Err(error) = in_savepoint(connection, request.as_mut()) {
            let _ = connection.execute_batch("ROLLBACK");
            return Err(error.into());
        }
    }
    if burn {
        return connection.execute_batch("ROLLBACK").map_err(Into::into);
    }
    connection.execute_batch("COMMIT").map_err(|error| {
        let _ = connection.execute_batch("ROLLBACK");
        error.into()
    })
}

fn in_savepoint(connection: &Connection, request: &mut dyn Request) -> rusqlite::Result<()> {
    connection.execute_batch("SAVEPOINT request")?;
    if request.run(connection) {
        connection.execute_batch("RELEASE request")
    } else {
        connection.execute_batch("ROLLBACK TO request; RELEASE request")
    }
}

/// One request, whatever its answer's type.
trait Request: Send {
    /// What it does with the database.
    fn access(&self) -> Access;
    /// Does the work; `false` when it failed and its changes are to be undone.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Tells the caller, once the transaction is over.
    fn answer(self: Box<Self>, committed: &Result<(), StoreError>);
}

struct Pending<T, F> {
    access: Access,
    work: Option<F>,
    result: Option<rusqlite::Result<T>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Request for Pending<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
{
    fn access(&self) -> Access {
        self.access
    }

    fn run(&mut self, connection: &Connection) -> bool {
        self.result = self.work.take().map(|work| work(connection));
        !matches!(self.result, Some(Err(_)))
    }

    fn answer(self: Box<Self>, committed: &Result<(), StoreError>) {
        let result = match (self.result, committed) {
            (Some(Err(error)), _) => Err(error.into()),
            (_, Err(error)) => Err(error.clone()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Closed),
        };
        // Nobody waits for the answer any more: the work is done all the same.
        let _ = self.answer.send(result);
    }
}
