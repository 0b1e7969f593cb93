package lakehouse

// Kinds of rows in the log and the events table (interfaces.md 3.2).
const (
	KindMutation  = "mutation"
	KindAnalytics = "analytics"
)

// Event is one row of a tenant's log and of the events table. It is immutable once committed: whoever holds one may
// read it, nobody may change it or the bytes it points to.
type Event struct {
	Seq       int64  // position in the tenant's log: 1, 2, 3 … without gaps
	ID        string // evt_ and 12 characters
	Kind      string // KindMutation or KindAnalytics
	Type      string // Contact.Qualified; for an analytics row the instance's own type (track, page …)
	Entity    string // noun name, Contact
	Target    string // the entity's $id
	Verb      string // create, update, delete, rollback, or a declared verb: the imperative
	Actor     string // user, key or agent id; empty when unknown
	Timestamp int64  // milliseconds since 1970 UTC; never falls within a tenant
	Version   int64  // the entity's $version after the event
	Data      []byte // the stored document (package entity) after the event; for a delete the last state with $deleted true
	Before    []byte // JSON object: the declared and undeclared fields before the event, without $ members; nil on create
	Changes   []byte // JSON array of {"field","from","to"}; nil on create and delete
	Input     []byte // JSON object: the body of a verb or rollback; nil otherwise
	Source    string // rest, import, demo, hook …
	RequestID string // req_…
	Cause     string // id of the event whose hook wrote this one
}

// Range chooses events of one tenant's log. The zero value of a field does not restrict.
type Range struct {
	After  int64  // seq > After
	Upto   int64  // seq <= Upto; 0: to the head
	Noun   string // events whose Entity is this
	Target string // events of this entity (needs Noun as well)
	Desc   bool   // newest first
	Limit  int    // at most this many; 0: all
}
