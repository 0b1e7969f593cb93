package lakehouse

// Pointer says where an entity's current document is: in the Data of the tenant's event Seq.
type Pointer struct {
	ID      string
	Seq     int64 // the entity's last event
	Version int64 // the entity's $version after it
	Deleted bool
}
