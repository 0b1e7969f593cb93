// Package server wires the parts of the product together over one data folder and serves them on one address.
//
// Open builds a Server in the order in which the parts need each other: the lake (which takes the data folder's lock), the
// writers, the publishing clock, the reader, the doors. Close takes it down in an order in which nothing acknowledged is
// lost and nothing is used after its end.
//
// Promises:
//  1. Open returns when the address answers, or with an error and nothing left open.
//  2. It listens on loopback addresses only, while no credentials exist.
//  3. Close refuses new requests, finishes the running ones, publishes what is acknowledged and closes everything; it takes
//     no longer than its context, and what it could not publish is published after the next start.
//
// It reads no flags, files of settings or environment: cmd/headlessly does.
package server
