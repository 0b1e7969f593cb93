// Package api is the HTTP door: it turns requests into commands and queries, and their outcomes into answers.
//
// A Service is the product as a door sees it: the write side, the read side and the lake of one data folder. Its Handler
// serves the REST routes of both addresses, /~{tenant}/… and /api/…, whose table is in routes.go. A request carries what
// the path and the headers say; a handler is one function from request to answer or error; every error leaves through
// fail, the one place that maps codes to statuses and envelopes.
//
// Promises:
//  1. Whatever arrives is answered in JSON, failures with the documented error object, panics included.
//  2. A write is answered after it is durable; a failed answer to a write means that it left nothing behind, except
//     outcome_unknown, which says so.
//  3. A tenant's name is checked before anything else sees it. One request touches one tenant; /analytics/query alone reads
//     several, and every call of it is logged.
//  4. Stored documents are passed on byte for byte, with $context added: numbers keep their digits, members their order.
//  5. Bodies and waiting times are bounded by named limits in Config, imports by those of imports.Config.
//  6. Each answer from data says at which seq it was read (X-Seq) and, of reads, in which mode (X-Consistency).
//  7. Results of SQL are streamed as the client takes them, in the format it accepts. A failure before the first bytes are sent
//     is an error answer; later the connection is cut, so that half an answer is never taken for a whole one. X-Truncated says
//     that rows were left out, as a trailer where the header is gone.
//  8. An export is all of one instant or a cut connection, in bounded memory; a client that takes nothing for exportStep is cut off.
//     An entity file is whole, and is what its ETag and the manifest say.
//
// It checks no credentials yet (open mode): whoever serves the Handler must do so on loopback addresses only. It does not
// listen, and it owns none of the parts it is given.
package api
