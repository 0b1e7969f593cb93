// Package entity holds the JSON document of one business object, as the log stores it and every door shows it.
//
// An Object keeps its members in order and their values as the raw JSON text they arrived in, so that 64-bit integers,
// number spellings and nested documents come out as they went in; only the escapes of strings are unified. A stored document has, in this order: $type, $id,
// $version, $createdAt, $createdBy (if known), $updatedAt, $deleted (only if true), the declared fields and forward
// relationships that are set (not null), in order of declaration, then the undeclared ones in order of first
// appearance. $context is not stored: WithContext adds it on the way out.
//
// Promises:
//  1. Parse refuses anything but one JSON object: duplicate names, invalid UTF-8, trailing text, nesting beyond the limit.
//  2. Values are compacted on the way in; equal states have equal bytes.
//  3. An Object never shares memory with the bytes it was parsed from.
package entity
