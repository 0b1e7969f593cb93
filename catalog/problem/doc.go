// Package problem holds the one error type that every part of the service answers with.
//
// A Problem has a machine code of interfaces.md 2.9, a sentence for people, and the facts a client
// may branch on (type, id, field, details …). Packages return it wrapped or bare; a door finds it
// with errors.As and maps its Code to its own status in one function. Any other error is "internal":
// logged whole, shown as nothing.
package problem
