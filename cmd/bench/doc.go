// Command bench measures the product beside its baselines and says whether it holds the bars set for it.
//
//	go run . write    durable creates and gets by id: beside PocketBase, an empty handler and the disk's own fsync
//	go run . get      the gets alone
//	go run . list     filtered and sorted lists of a tenant of 20,000, on a quiet server and under 500 writes a second
//	go run . asof     twelve statements as of five instants, beside the present, after 10,000 commits (-commits); get, list
//	                  and count in the demo's past
//	go run . memory   resident memory of an idle demo, and of 1,000 tenants
//	go run . freshness
//	                  from a write's acknowledgement to the table metadata on disk that shows it, under 500 writes a second
//	go run . commits  what the 10,000th commit to the lake costs beside the 200th, with maintenance on
//	go run . large    a tenant of 5,000,000 contacts under 200 updates a second: freshness, memory, and reading its table
//	go run . sql      twelve statements over 100,000 contacts, beside DuckDB over a native table and over Parquet files; -contacts
//	                  10000000 for a large tenant
//	go run . steady   memory of the product's processes over 100,000 queries
//	go run . import   1,000,000 contacts imported by a job under other tenants' writes, and exported, beside DuckDB's COPY
//	go run . isolation
//	                  a tenant's reads while ten others run hostile statements, beside the same when it is quiet
//	go run . export   a result of 1,000,000 rows as Arrow and as JSON, beside DuckDB's own COPY
//	go run . all      all of them
//
// With -short it sends a few hundred requests and judges only the answers, not the figures; see -help for the rest.
//
// It knows the product by its documented interfaces: it builds ../headlessly, runs it as a child process on a new data
// folder, speaks HTTP to it, and reads its tables from outside (package outside); commits alone runs the lake in this
// process, on a log in memory, because no server can be made to commit 10,000 times in minutes. It is a module of its own,
// so that what it needs stays out of the product's go.mod.
//
// Promises:
//  1. Every server is measured through the same client (package load), in a process of its own, in turns (A B C A B C …),
//     while the others are stopped, so that none works on another's time. A figure is the median of its rounds.
//  2. Every answer is checked against what is known to be right; one wrong answer is enough to fall short.
//  3. The last line is `held: …` or `falls short: …`, and the exit status 0 or 1 accordingly.
//
// PocketBase is pinned at 0.39.9: 0.40 needs a newer Go than the product does.
package main
