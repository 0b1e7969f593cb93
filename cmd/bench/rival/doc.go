// Package rival holds the servers that the product is measured beside. Each runs in a process of its own, which is the
// bench binary under another command.
//
// PocketBase is a well-made server of the same kind: records over HTTP in SQLite, in Go. DuckDB is the product's own engine
// behind the least HTTP there can be: no tenants, no admission, no instants, no log. Empty does nothing and is the ceiling: no
// server on net/http answers this client faster on this machine.
//
// All print `listening on http://HOST:PORT` once they answer and run until they are killed.
package rival
