// Package noun says what exists: the nouns of the business (Contact, Deal, Invoice …), what each holds, how they refer to
// one another, and the verbs that change them.
//
// A noun is written as a Declaration, in the notation that Parse reads. Define makes a Noun of it. A Registry links the
// nouns, so that every relationship has both its sides, and finds them by any spelling. Core is the registry of the 35
// nouns of the product; there is one file for each domain. Another noun is another Declaration: tables, doors and
// documentation follow from it.
package noun
