package rest

import (
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
)

// requirement is a requirement of a commit. iceberg-go parses it; what it says when it does not hold is the reference
// implementation's text, which clients and the compatibility kit know.
type requirement struct {
	Type        string    `json:"type"`
	UUID        uuid.UUID `json:"uuid"`
	Ref         string    `json:"ref"`
	SnapshotID  *int64    `json:"snapshot-id"`
	FieldID     int       `json:"last-assigned-field-id"`
	SchemaID    int       `json:"current-schema-id"`
	PartitionID int       `json:"last-assigned-partition-id"`
	SpecID      int       `json:"default-spec-id"`
	OrderID     int       `json:"default-sort-order-id"`
}

const assertCreate = "assert-create"

// parseRequirement parses one requirement.
func parseRequirement(raw []byte) (*requirement, error) {
	parsed, err := table.ParseRequirementBytes(raw)
	if err != nil {
		return nil, badRequest("Invalid requirement %.200s: %s", raw, err)
	}
	r := &requirement{}
	if err := canonical(parsed, r); err != nil {
		return nil, err
	}
	return r, nil
}

// GetType implements table.Requirement.
func (r *requirement) GetType() string { return r.Type }

// Validate implements table.Requirement.
func (r *requirement) Validate(m table.Metadata) error {
	switch r.Type {
	case assertCreate:
		return commitFailed("Requirement failed: table already exists")
	case "assert-table-uuid":
		if m.TableUUID() != r.UUID {
			return commitFailed("Requirement failed: UUID does not match: expected %s != %s", m.TableUUID(), r.UUID)
		}
	case "assert-ref-snapshot-id":
		return r.checkRef(m)
	case "assert-last-assigned-field-id":
		return same("last assigned field id", r.FieldID, m.LastColumnID())
	case "assert-current-schema-id":
		return same("current schema", r.SchemaID, m.CurrentSchema().ID)
	case "assert-last-assigned-partition-id":
		last := 999 // before the first
		if id := m.LastPartitionSpecID(); id != nil {
			last = *id
		}
		return same("last assigned partition id", r.PartitionID, last)
	case "assert-default-spec-id":
		return same("default partition spec", r.SpecID, m.DefaultPartitionSpec())
	case "assert-default-sort-order-id":
		return same("default sort order", r.OrderID, m.DefaultSortOrder())
	}
	return nil
}

func same(what string, want, is int) error {
	if want == is {
		return nil
	}
	return commitFailed("Requirement failed: %s changed: expected id %d != %d", what, want, is)
}

func (r *requirement) checkRef(m table.Metadata) error {
	for name, ref := range m.Refs() {
		switch {
		case name != r.Ref:
			continue
		case r.SnapshotID == nil:
			return commitFailed("Requirement failed: %s %s was created concurrently", ref.SnapshotRefType, r.Ref)
		case *r.SnapshotID != ref.SnapshotID:
			return commitFailed("Requirement failed: %s %s has changed: expected id %d != %d",
				ref.SnapshotRefType, r.Ref, *r.SnapshotID, ref.SnapshotID)
		}
		return nil
	}
	if r.SnapshotID != nil {
		return commitFailed("Requirement failed: branch or tag %s is missing, expected %d", r.Ref, *r.SnapshotID)
	}
	return nil
}

// follows is the requirement that every added snapshot states tacitly: that it was numbered after the table's last one. A
// client that was overtaken on another branch numbers it anew.
type follows struct{ snapshots []*table.Snapshot }

// GetType implements table.Requirement.
func (follows) GetType() string { return "follows" }

// Validate implements table.Requirement.
func (f follows) Validate(m table.Metadata) error {
	for _, s := range f.snapshots {
		if m.Version() >= 2 && s.ParentSnapshotID != nil && s.SequenceNumber <= m.LastSequenceNumber() {
			return commitFailed("Cannot add snapshot with sequence number %d older than last sequence number %d",
				s.SequenceNumber, m.LastSequenceNumber())
		}
		if m.Version() >= 3 && s.FirstRowID != nil && *s.FirstRowID < m.NextRowID() {
			return commitFailed("Cannot add a snapshot, first-row-id is behind table next-row-id: %d < %d", *s.FirstRowID, m.NextRowID())
		}
	}
	return nil
}
