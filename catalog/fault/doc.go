// Package fault breaks disks on purpose, for the tests that hold the rest of the code to its promises of durability.
//
// An Injector counts the mutating file operations below one root folder, whether SQLite does them (through a VFS) or Go
// code does them (through an FS), makes the n-th fail as its Plan says, and records all that succeed in a Trace. A Trace
// can be replayed up to any point into another folder, as a disk might hold it after the power went off there. Marks
// that a test puts into the trace ("acknowledged 17") say what had been promised by then.
//
// Promises:
//  1. An operation is counted exactly once, in the order of execution, by one counter for files of SQLite and of Go. Only
//     operations that the plan's kind can befall and its Match admits are counted.
//  2. A failed operation reports what the operating system would report; what it leaves behind is said at its Kind.
//  3. The trace holds an operation before its caller knows that it succeeded; a sync covers only what had been done
//     before the sync began.
//  4. Replay keeps what was synced: content by Sync of the file, names by SyncDir of their folder. Without a source of
//     chance it keeps nothing else; with one it keeps a random part of the rest, torn at sectors of 512 bytes, and of
//     the changes to a folder's names a random prefix. Nothing else survives, so it is at least as hard as ext4 and xfs.
//  5. With the same trace, point and seed, Replay builds the same folder.
//
// It does not model reads that fail, damage to synced data, or the shared-memory file of a WAL (SQLite rebuilds it). It
// knows nothing of the code under test and is imported by tests only.
package fault
