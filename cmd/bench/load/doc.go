// Package load sends HTTP requests to a server on the same machine and keeps how long each answer took.
//
// A Script is what one client says and how it judges the answers. Closed runs scripts in a closed loop: each client sends
// its next request when the last one is answered, so the server sets the pace. Open runs them in an open loop: requests are
// due at a fixed rate, whatever the server does. Both give a Sample.
//
// Promises:
//  1. The client is cheap, because it shares the machine's cores with the server: one connection a client, kept for the
//     whole run, and no allocation a request. All servers are measured through the same one.
//  2. Every answer is handed to its script, and a wrong one is counted as a failure, never as a latency.
//  3. In an open loop a latency counts from the moment the request was due, not from when a client was free to send it, so
//     a server that stalls is charged for everything it held up.
//
// It does not know TLS, redirects, compression, or HTTP/2.
package load
