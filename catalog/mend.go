package catalog

import (
	"slices"

	"github.com/apache/iceberg-go/table"
)

// StageOn is Stage for a table whose current metadata cannot be read, or not all that it names: the commit's updates are
// applied to the metadata given, and the result is to follow what catalog.db names, at base. Requirements are not looked at.
// The result is given to Swap, or to Discard.
func (c *Catalog) StageOn(base string, from table.Metadata, commit table.TableCommit) (*Staged, error) {
	meta, err := table.UpdateTableMetadata(from, commit.Updates, "")
	if err != nil {
		return nil, err
	}
	s := &Staged{Identifier: slices.Clone(commit.Identifier), Base: base, Metadata: meta}
	return s, c.writeMetadata(s)
}
