// Package duck runs DuckDB: in-memory databases, connections, statements whose rows arrive in vectors as they are computed,
// and appending of rows. It stands on the C bindings of the Go driver rather than on database/sql, which holds every result
// whole and boxes every value.
//
// Promises:
//  1. A result is computed as it is read: what is not read yet costs a bounded buffer.
//  2. Whatever waits for DuckDB ends soon after its context does, with the context's error.
//  3. An error of DuckDB is an *Error with its kind, message and, where there is one, the position in the statement.
//  4. Nothing of one call reaches the next on the same connection: an interrupt that comes late is waited for.
//
// What it does not do: decide what may run. A DB is safe for concurrent use; a Conn and what comes from it is not.
package duck
