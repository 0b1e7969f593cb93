package ingest

import (
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/lakehouse"
)

// Op is what a Command does.
type Op string

// The operations of interfaces.md 2 and 4.3.
const (
	OpCreate   Op = "create"
	OpUpdate   Op = "update"
	OpDelete   Op = "delete"
	OpVerb     Op = "verb" // with an empty ID: the verb creates (1.4)
	OpRollback Op = "rollback"
)

// Command is one intended change of one entity. The Store does not change it and keeps nothing of it but shared,
// immutable JSON values.
type Command struct {
	Op   Op
	Noun string // exact noun name, Contact
	// ID is the entity's $id or the value of one of its unique fields. Empty for a create and for a creating verb.
	ID   string
	Verb string        // OpVerb: the imperative, in any casing
	Body entity.Object // members; $ names are ignored; nil is the empty object
	// Key names a unique field of the noun, which the Body of the create must hold. Where an entity has its value already, the
	// command updates that one instead, and writes nothing if it is as the Body says.
	Key string

	IfVersion int64 // refuse with PreconditionFailed unless the entity stands at this version; 0: any
	// IdempotencyKey makes a repetition of the same command within Config.IdempotencyTTL answer the first one's event.
	IdempotencyKey string

	// At dates the event, for migrations by operators: not before the tenant's last event, not after now.
	At time.Time
	// PreserveID gives a create this $id instead of a new one, for migrations by operators.
	PreserveID string

	// Rollback target: the state at ToVersion, or, if that is 0, the state at ToTime.
	ToVersion int64
	ToTime    time.Time

	Actor     string // who: user, key or agent id; may be empty
	Source    string // which door: rest, import, demo …
	RequestID string
}

// Result is the answer to one Command: an event, or why there is none.
type Result struct {
	Event     *lakehouse.Event // shared and immutable
	Replayed  bool             // the event was written by an earlier command with the same idempotency key
	Unchanged bool             // Command.Key: the entity is as the command would have it; there is no event
	Err       error            // usually a *problem.Problem
}
