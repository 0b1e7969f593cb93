package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"headless.ly/catalog"
)

// commitBody is what a client wants to change of a table.
type commitBody struct {
	Identifier   *identifier       `json:"identifier"`
	Requirements []json.RawMessage `json:"requirements"`
	Updates      table.Updates     `json:"updates"`
}

// change is a commitBody, read and checked.
type change struct {
	ident        table.Identifier
	create       bool
	requirements []table.Requirement
	updates      []update
	location     string // that the updates set; empty: none
}

// update is an update and what we look at of it.
type update struct {
	table.Update
	Action     string             `json:"action"`
	Version    int                `json:"format-version"`
	Location   string             `json:"location"`
	Properties iceberg.Properties `json:"updates"`
	Snapshot   *table.Snapshot    `json:"snapshot"`
	Ref        string             `json:"ref-name"`
	Statistics *struct {
		Path string `json:"statistics-path"`
	} `json:"statistics"`
	PartitionStatistics *struct {
		Path string `json:"statistics-path"`
	} `json:"partition-statistics"`
}

// commitTable applies a commit, or makes the table that was staged.
func (s *Server) commitTable(r *request) error {
	if err := r.named(catalog.KindTable); err != nil {
		return err
	}
	var body commitBody
	if err := r.read(&body); err != nil {
		return err
	}
	if body.Identifier != nil {
		ident, err := body.Identifier.parse()
		if err != nil {
			return err
		}
		if !slices.Equal(ident, r.ident) {
			return badRequest("The body is about table %s, the path about %s", dotted(ident), dotted(r.ident))
		}
	}
	ch, err := s.parseChange(r.ident, &body)
	if err != nil {
		return err
	}
	staged, err := s.apply(r, ch)
	if err != nil {
		return err
	}
	return r.sendTable(staged[0], allSnapshots)
}

// commitTransaction applies the commits of several tables, all or none.
func (s *Server) commitTransaction(r *request) error {
	var body struct {
		Changes []commitBody `json:"table-changes"`
	}
	if err := r.read(&body); err != nil {
		return err
	}
	r.kind = catalog.KindTable
	if len(body.Changes) == 0 || len(body.Changes) > maxChanges {
		return badRequest("A transaction changes 1 to %d tables", maxChanges)
	}
	seen := map[string]bool{}
	var all []*change
	for _, b := range body.Changes {
		if b.Identifier == nil {
			return badRequest("Missing identifier of a table")
		}
		ident, err := b.Identifier.parse()
		if err != nil {
			return err
		}
		if seen[dotted(ident)] {
			return badRequest("Table %s is in the transaction twice", dotted(ident))
		}
		seen[dotted(ident)] = true
		ch, err := s.parseChange(ident, &b)
		if err != nil {
			return err
		}
		all = append(all, ch)
	}
	if _, err := s.apply(r, all...); err != nil {
		return err
	}
	return r.sendNothing()
}

// parseChange reads and checks a commit, as far as that can be done without the table.
func (s *Server) parseChange(ident table.Identifier, body *commitBody) (*change, error) {
	if len(body.Updates) > maxUpdates || len(body.Requirements) > maxUpdates {
		return nil, badRequest("A commit has up to %d updates and as many requirements", maxUpdates)
	}
	ch := &change{ident: ident}
	for _, raw := range body.Requirements {
		req, err := parseRequirement(raw)
		if err != nil {
			return nil, err
		}
		ch.create = ch.create || req.Type == assertCreate
		ch.requirements = append(ch.requirements, req)
	}
	if ch.create && len(ch.requirements) > 1 {
		return nil, badRequest("Invalid create requirements: nothing can be required of a table besides that it does not exist")
	}
	var added []*table.Snapshot
	for _, u := range body.Updates {
		up := update{Update: u}
		if err := canonical(u, &up); err != nil {
			return nil, err
		}
		if err := s.checkUpdate(ch, &up); err != nil {
			return nil, err
		}
		if up.Snapshot != nil {
			added = append(added, up.Snapshot)
		}
		ch.updates = append(ch.updates, up)
	}
	if len(added) > 0 {
		ch.requirements = append(ch.requirements, follows{added})
	}
	return ch, nil
}

// checkUpdate refuses an update that leads out of the guests' folder, or changes what is ours.
func (s *Server) checkUpdate(ch *change, u *update) error {
	if ours(ch.ident) && !harmless(u) {
		return guarded("table", ch.ident)
	}
	switch u.Action {
	case table.UpdateSetLocation:
		place, err := s.checkPlace(u.Location)
		if err != nil {
			return err
		}
		ch.location, u.Update = place, table.NewSetLocationUpdate(place)
	case table.UpdateSetProperties:
		return s.checkProperties(u.Properties)
	case table.UpdateAddSnapshot:
		return s.checkSnapshot(u.Snapshot)
	case table.UpdateSetStatistics:
		return s.checkFile("statistics", u.Statistics.Path)
	case table.UpdateSetPartitionStatistics:
		return s.checkFile("partition statistics", u.PartitionStatistics.Path)
	}
	return nil
}

// harmless says whether an update of a table of ours changes neither data nor schema: it sets or removes a branch or tag
// that is not ours.
func harmless(u *update) bool {
	if u.Action != table.UpdateSetSnapshotRef && u.Action != table.UpdateRemoveSnapshotRef {
		return false
	}
	return u.Ref != table.MainBranch && !strings.HasPrefix(u.Ref, "day-") && !strings.HasPrefix(u.Ref, "month-") && checkName("ref", u.Ref) == nil
}

// apply makes changes, all or none, and gives where the tables' metadata is then.
func (s *Server) apply(r *request, all ...*change) ([]string, error) {
	changes := make([]catalog.Change, len(all))
	for i, ch := range all {
		changes[i].TableCommit = table.TableCommit{Identifier: ch.ident, Requirements: ch.requirements}
		if ch.create {
			if ours(ch.ident) {
				return nil, guarded("table", ch.ident)
			}
			if _, err := s.cat.Pointer(r.c, ch.ident, catalog.KindTable); err == nil {
				return nil, commitFailed("Requirement failed: table already exists: %s", dotted(ch.ident))
			}
			err := s.vacant(&request{s: s, c: r.c, ident: ch.ident, kind: catalog.KindTable})
			if err != nil {
				return nil, err
			}
			if changes[i].New, err = s.build(ch); err != nil {
				return nil, err
			}
			continue
		}
		for _, u := range ch.updates {
			changes[i].Updates = append(changes[i].Updates, u.Update)
		}
	}
	staged, err := s.cat.Commit(r.c, changes...)
	if err != nil && staged == nil {
		if errors.Is(err, catalog.ErrUpdate) && !errors.As(err, new(*Error)) {
			return nil, newError(http.StatusBadRequest, "ValidationException", "%s", err)
		}
		return nil, err
	}
	s.warn(err)
	locations := make([]string, len(staged))
	for i, st := range staged {
		locations[i] = st.Location
	}
	return locations, nil
}

// build makes the first metadata of a table from the updates that describe it. They come in any order, and name ids as if
// nothing were there yet: format and schema go first, since specs and orders are bound to the schema.
func (s *Server) build(ch *change) (table.Metadata, error) {
	first := []string{table.UpdateUpgradeFormatVersion, table.UpdateAssignUUID, table.UpdateAddSchema, table.UpdateSetCurrentSchema}
	rank := func(u update) int {
		if i := slices.Index(first, u.Action); i >= 0 {
			return i
		}
		return len(first)
	}
	updates := slices.Clone(ch.updates)
	slices.SortStableFunc(updates, func(a, b update) int { return rank(a) - rank(b) })
	version := table.DefaultFormatVersion
	if slices.ContainsFunc(updates, func(u update) bool { return u.Action == table.UpdateUpgradeFormatVersion }) {
		version = 1
	}
	b, err := table.NewMetadataBuilder(version)
	if err != nil {
		return nil, err
	}
	meta, err := buildFrom(b, updates, ch, s.cat)
	if err != nil {
		return nil, newError(http.StatusBadRequest, "ValidationException", "Cannot create table %s: %s", dotted(ch.ident), err)
	}
	return meta, nil
}

func buildFrom(b *table.MetadataBuilder, updates []update, ch *change, cat *catalog.Catalog) (table.Metadata, error) {
	if !slices.ContainsFunc(updates, func(u update) bool { return u.Action == table.UpdateAssignUUID }) {
		if err := b.SetUUID(uuid.New()); err != nil {
			return nil, err
		}
	}
	for _, u := range updates {
		if err := u.Apply(b); err != nil {
			return nil, err
		}
	}
	if ch.location == "" {
		if err := b.SetLoc(cat.NewLocation(ch.ident)); err != nil {
			return nil, err
		}
	}
	meta, err := b.Build()
	if err != nil {
		return nil, err
	}
	// As it will be read: what the builder keeps only in memory shall not matter.
	data, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	return table.ParseMetadataBytes(data)
}
