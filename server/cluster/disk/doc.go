// Package disk keeps a server's data directory: the log, the votes and the
// snapshots of Raft, and whose they are.
//
// Layout, below the directory:
//
//	server.json         the label: format, server, cluster, version
//	peers.info          for an operator who has lost a majority
//	peers.json          written by that operator; renamed once it was applied
//	raft/raft.db        the log and the votes
//	raft/snapshots/     the newest two snapshots
//
// A server has promised the others to keep what it confirmed. So the contract is
// that a server starts with all that it had, or is refused with one sentence that
// says what to do, and the directory stays as it was.
//
//   - Open refuses a directory of another server, of another cluster, of a newer
//     format or of a newer cluster level, and one that another process uses.
//   - Open reads the whole log before anything is opened for writing. It does so
//     where a panic of bbolt, and a fault on a page that the file does not have,
//     become errors (Guard).
//   - The votes name the server too. A label beside votes that do not know the
//     server means that the log is gone: a server that forgot whom it voted for
//     must not vote again.
//   - Restore puts the newest readable snapshot into the state machine. It insists
//     that this snapshot and the log lead at least to the newest snapshot there
//     ever was.
//   - Recover replaces the membership by peers.json, once.
//
// Dir.Cut tells when the disk did not take what follows a log that was cut off: Raft
// then counts on entries that are gone, until it is started again.
//
// A gap in the log below a snapshot is ordinary: a restored snapshot leaves one.
//
// The package starts no goroutines and knows nothing of the network.
package disk
