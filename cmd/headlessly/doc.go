// Command headlessly is the one binary of the product.
//
//	headlessly serve     serve a data folder on a loopback address
//	headlessly import    send a file of rows to a running server
//	headlessly export    fetch all entities of a type from a running server
//	headlessly sql       run a SQL statement that reads
//	headlessly aggregate count, sum and group the entities of a type
//	headlessly verify    say whether a data folder is whole
//	headlessly repair    mend a data folder that no server uses
//	headlessly demo      serve with sample data
//	headlessly engine    run queries for serve and demo, which start it; never by hand
//	headlessly version   say which version this is
//
// Promises:
//  1. This package alone reads flags and the environment.
//  2. What goes to standard output is the result of the command; what is said on the way goes to standard error.
//  3. The exit status is 0 if all that was asked was done, and 1 otherwise.
//  4. serve and demo print "listening on http://HOST:PORT" once they answer, listen on loopback addresses only, and after SIGTERM
//     finish what runs, publish, and end within 10 s.
package main
