// Package engine runs DuckDB in a process of its own: a Process is started, watched and started again by the server, a DB is one
// of its in-memory databases, a Conn a connection to that. They have the methods of package duck, which the process runs.
//
// Promises:
//  1. What happens to the process happens to nothing else. When it ends, whatever the reason, queries that run in it fail with
//     problem.Unavailable and a time to try again, and another takes over: after a start; where one has ended before, one that
//     is ready, or where one after the other ends, after at most a quarter of a second and a start. Its databases are gone;
//     callers make and fill them anew.
//  2. The process ends with the server: with the socket between them, and where the system can with the thread that started it.
//  3. A result is computed as it is read. Between the two processes lies what a socket holds, and a message of rows in each.
//  4. Whatever waits for DuckDB ends soon after its context does, with the context's error. A statement that goes on half a
//     minute after it was stopped ends the process.
//  5. A connection that is closed frees what belongs to it, and the last one of a database the database; so does a server that
//     has gone.
//  6. The process has no environment but settings of its allocators, no file but the folders it was given, what DuckDB needs to
//     learn how much memory there is, and the socket; it makes no socket, starts no program, signals and inspects no process.
//     These fences are the system's (Landlock, seccomp, resource limits): Status tells which hold. It is the first to be ended
//     where the system runs out of memory, and ends itself when it has twice what it may.
//  7. A statement of an expendable connection that has had 50 ms of a processor, or a second, runs only when no other wants to,
//     where the system can (Linux), and is stopped before others when memory is short.
//  8. What the process sends is checked: whatever it is made to say, the server does not read memory that is none of the message.
//
// What goes over the socket. The server makes a pair of sockets for each connection and sends one to the process over the one
// it was started with; so nobody else can connect. On a connection the server sends requests, each of which is answered by
// messages of which the last says that it is done or why it failed, and may ask to stop the one that runs. A message is four
// bytes of length, a byte of kind, three of nothing, and its body. Rows of results are laid out as Arrow does (see
// duck.Chunk.AppendRows), rows to be appended as values. Both ends are the same program: the bytes are not kept, and may change.
//
// What it does not do: decide what may run.
package engine
