// Package noun says what exists: the nouns of the business (Contact, Deal, Invoice …), what each holds, how they refer to
// one another, and the verbs that change them.
//
// A noun is written as a Declaration, in the notation that Parse reads. Define makes a Noun of it: Fields, Relationships
// and Verbs with their Effects. A Registry links nouns, so that every relationship has both its sides, and finds them by
// any spelling. Core is the registry of the 35 nouns of the product, one file for each domain. Another noun is another
// Declaration; tables, doors and documentation follow from it.
//
// Promises:
//  1. Define and NewRegistry refuse what the rest of the service could not honour: an unknown type, a default or an effect
//     outside its field's type or enum, names that differ in case only, a name that every table has already (id, tenant),
//     a relationship that leads nowhere.
//  2. A Noun and a Registry never change once made and are safe for concurrent use. NewRegistry copies what it is given.
//  3. Columns are in order of declaration, and so are the values of an enum and the unique fields.
//  4. A verb's event is the past form its noun declares, not a computed one. It writes the first enum field that holds
//     that form, then its declared Effects; no effect can write a value outside an enum.
//  5. In a Registry every relationship leads to one that leads back. An inverse that neither side names is called by the
//     plural of the noun it leads to (Contact.deals). Where several fields lead to one target, the one named like the
//     target gets that name, then requester, recipient, author, reporter, assignee, owner of a Contact, then the first
//     declared; each of the others gets plural and field (Contact.ticketsByAssignee). So does one whose plural the target
//     uses for something else, rather than having no inverse at all. If that name is in use as well, NewRegistry fails.
//  6. Within a registry no two nouns share a spelling, whatever its casing.
//  7. New ids are drawn from the system's cryptographic source, are never empty and spell no rude word. They may be taken:
//     the writer looks.
//
// Beyond the notation as first published, marks may follow enum(…), and "!" a forward relationship. An enum written with
// "|" can carry neither marks nor a default, and is refused with them.
//
// The package does not say what a value may look like beyond its Kind, knows no tenant, stores nothing, and runs no verb.
package noun
