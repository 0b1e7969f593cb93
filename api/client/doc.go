// Package client speaks to a headlessly server over HTTP. It needs the standard library only.
//
// A Client is one tenant at one server. Do sends one Call and gives the answer's body, or an *Error that holds the
// server's error object. Import sends a file of rows and follows the job that a large one becomes, Export fetches one.
//
// Promises:
//  1. An answer of the server that is no success is an *Error with the server's code; everything else is an error of the
//     way there.
//  2. A call is sent again, after a wait, only if that cannot do it twice: it reads, or it bears an idempotency key; and
//     only for 429, 502, 503 and a connection that broke.
//  3. A Client is safe for concurrent use and keeps nothing between calls but idle connections.
package client
