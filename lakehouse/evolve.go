package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// ErrEvolution is wrapped where a table cannot become what its noun declares. Nothing was changed then.
var ErrEvolution = errors.New("table cannot evolve")

// evolvedProperty is the sequence number up to which a table's data files may lack or name otherwise what its present schema
// has. It moves with each change of the schema.
const evolvedProperty = "headlessly.evolved"

// docJSON is the doc of a column of JSON text, by which it is told from one of plain text: both are strings to Iceberg.
const docJSON = "JSON"

// evolution is what makes a stored table what its noun declares: metadata only, files stay as they are.
type evolution struct {
	table   *Table         // as it will be stored
	updates []table.Update // none where it is so already
}

// evolve changes the schemas of all tables to what their nouns declare, in one swap, and takes note of what their older files
// hold. All tables that cannot are reported.
func (l *Lake) evolve(ctx context.Context, loaded []*table.Table) error {
	var staged []*catalog.Staged
	var errs []error
	for i, t := range l.tables {
		e, err := t.evolve(loaded[i].Metadata())
		if err == nil && len(e.updates) > 0 {
			var s *catalog.Staged
			if s, err = l.cat.Stage(ctx, table.TableCommit{Identifier: t.ident, Updates: e.updates}); s != nil {
				staged = append(staged, s)
			}
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		l.tables[i] = e.table
	}
	err := errors.Join(errs...)
	if err == nil && len(staged) > 0 {
		err = l.cat.Swap(ctx, staged, nil)
	}
	if err != nil {
		if !errors.Is(err, catalog.ErrUnsettled) {
			l.cat.Discard(staged...)
		}
		return fmt.Errorf("evolve tables: %w", err)
	}
	for _, s := range staged {
		l.cfg.Logger.Info("table follows its noun", "table", s.Identifier[1], "schema", s.Metadata.CurrentSchema().ID)
	}
	for i, t := range l.tables {
		if loaded[i], err = l.cat.LoadTable(ctx, t.ident); err != nil {
			return err
		}
		t.stored = loaded[i].Metadata().CurrentSchema().ID
	}
	return nil
}

// restore gives the updates that undo what another program did to the table's columns while it was open (correctness 17): none
// where it left them alone, or where they cannot be undone; the next Open says why.
func (t *Table) restore(meta table.Metadata) []table.Update {
	if meta.CurrentSchema().ID == t.stored {
		return nil
	}
	e, err := t.evolve(meta)
	if err != nil {
		return nil
	}
	return e.updates
}

// changedWhileGone stands for a published table's last change where that is not known: the lake was opened without its noun, and
// may have published events that the table has not seen.
const changedWhileGone = -1

// forget notes durably of the tables whose nouns are no more that their last changes are not known from here on.
func (l *Lake) forget(ctx context.Context, published []catalog.Published, declared map[string]int) error {
	var gone []catalog.Move
	for _, p := range published {
		if _, found := declared[p.Table]; !found && p.Changed != changedWhileGone {
			gone = append(gone, catalog.Move{Table: p.Table, Tenant: p.Tenant, From: p.Seq, To: p.Seq, Changed: changedWhileGone})
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return l.cat.Swap(ctx, nil, gone)
}

// lastChange gives the last event of a table's noun that events, published up to a seq, may hold. Of a noun that comes back it
// may be any; the log is asked for them then.
func lastChange(p catalog.Published, events int64) int64 {
	if p.Changed == changedWhileGone {
		return events
	}
	return p.Changed
}

// evolve compares the declaration with the stored table. A column of ours that was dropped or renamed by somebody else gets
// its name and field id back; columns that others have added stay.
func (t *Table) evolve(meta table.Metadata) (*evolution, error) {
	h := newHistory(t, meta)
	columns := slices.Clone(t.Columns)
	var errs []error
	changed := false // files written so far have to be read by field id
	for i := range columns {
		differs, err := h.adapt(&columns[i])
		changed, errs = changed || differs, append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	out, err := newTable(t.Name, t.Noun, columns)
	if err != nil {
		return nil, err
	}
	fields := slices.Clone(out.schema.Fields())
	for _, f := range meta.CurrentSchema().Fields() {
		switch {
		case t.declares(f.ID):
		case h.ours(f.ID):
			changed = true
		default:
			fields = append(fields, f)
		}
	}
	e := &evolution{table: out}
	schema := iceberg.NewSchema(0, fields...)
	if !meta.CurrentSchema().Equals(schema) {
		e.updates = append(e.updates, table.NewAddSchemaUpdate(schema), table.NewSetCurrentSchemaUpdate(-1))
	}
	out.past, out.evolved = h.past(columns), h.evolved()
	if changed && !h.empty {
		out.evolved = meta.LastSequenceNumber()
		e.updates = append(e.updates, table.NewSetPropertiesUpdate(
			iceberg.Properties{evolvedProperty: strconv.FormatInt(out.evolved, 10)}))
	}
	return e, nil
}

func (t *Table) declares(fieldID int) bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return c.FieldID == fieldID })
}

// pastAt gives what a file of this data sequence number may hold otherwise than the table says; nil for one of its present
// schema.
func (t *Table) pastAt(sequence int64) *Past {
	if sequence > t.evolved {
		return nil
	}
	return t.past
}

// history is every schema that a table ever had, the current one last.
type history struct {
	table      *Table
	meta       table.Metadata
	schemas    []*iceberg.Schema
	empty      bool // no file was ever written: every change is allowed
	documented bool // columns of JSON are marked
}

func newHistory(t *Table, meta table.Metadata) *history {
	h := &history{table: t, meta: meta, empty: len(meta.Snapshots()) == 0}
	for _, s := range meta.Schemas() {
		if s.ID != meta.CurrentSchema().ID {
			h.schemas = append(h.schemas, s)
		}
	}
	h.schemas = append(h.schemas, meta.CurrentSchema())
	for _, f := range meta.CurrentSchema().Fields() {
		h.documented = h.documented || f.Doc == docJSON
	}
	return h
}

// last finds what a field id stood for last; found is false where it never stood for anything.
func (h *history) last(fieldID int) (f iceberg.NestedField, found bool) {
	for _, s := range slices.Backward(h.schemas) {
		if f, found := s.FindFieldByID(fieldID); found {
			return f, true
		}
	}
	return f, false
}

// ours says whether a field id once bore a name that the register gives it, so that it was not taken by somebody else's
// column.
func (h *history) ours(fieldID int) bool {
	ids := fieldIDs()[h.table.Name]
	return slices.ContainsFunc(h.schemas, func(s *iceberg.Schema) bool {
		f, found := s.FindFieldByID(fieldID)
		return found && fieldIDOf(ids, h.table.Noun, f.Name) == fieldID
	})
}

// adapt makes a declared column what it can be in the table, and says whether files written so far hold it otherwise.
func (h *history) adapt(c *Column) (differs bool, err error) {
	if h.empty {
		return false, nil
	}
	now, current := h.meta.CurrentSchema().FindFieldByID(c.FieldID)
	c.Required = c.Required && current && now.Required // rows that lack it stay
	last, found := h.last(c.FieldID)
	if !found {
		return true, nil
	}
	if !h.ours(c.FieldID) {
		return false, fmt.Errorf("%w: %s.%s: its field id %d is taken by %q, which another program added; drop that column and declare the field under a new name",
			ErrEvolution, h.table.Name, c.Name, c.FieldID, last.Name)
	}
	if !h.promotes(last, *c) {
		return false, fmt.Errorf("%w: %s.%s holds %s and is declared %s: existing files cannot be read so; declare it under a new name, without was",
			ErrEvolution, h.table.Name, c.Name, described(columnIn(last)), described(*c))
	}
	return !current || now.Name != c.Name || !now.Type.Equals(icebergType(*c)), nil
}

// promotes says whether what is stored as one type can be read as the declared one: the same, or a decimal with more digits
// before the point. Iceberg v2 allows no more between the types that we have.
func (h *history) promotes(stored iceberg.NestedField, c Column) bool {
	from, to := columnIn(stored), c
	if !h.documented && from.Type == String && to.Type == JSON {
		return true
	}
	return from.Type == to.Type && from.Scale == to.Scale && from.Precision <= to.Precision
}

func described(c Column) string {
	if c.Type == JSON {
		return "JSON"
	}
	return icebergType(c).String()
}

// columnIn gives the column that a stored field is.
func columnIn(f iceberg.NestedField) Column {
	c := Column{Name: f.Name, FieldID: f.ID, Required: f.Required}
	switch typ := f.Type.(type) {
	case iceberg.Float64Type:
		c.Type = Double
	case iceberg.BooleanType:
		c.Type = Boolean
	case iceberg.Int64Type:
		c.Type = Long
	case iceberg.TimestampTzType:
		c.Type = Timestamp
	case iceberg.DateType:
		c.Type = Date
	case iceberg.DecimalType:
		c.Type, c.Precision, c.Scale = Decimal, typ.Precision(), typ.Scale()
	case iceberg.StringType:
		if c.Type = String; f.Doc == docJSON {
			c.Type = JSON
		}
	}
	return c
}

// past says how older files may differ from the columns.
func (h *history) past(columns []Column) *Past {
	var p Past
	for _, c := range columns {
		young := slices.ContainsFunc(h.schemas, func(s *iceberg.Schema) bool {
			f, found := s.FindFieldByID(c.FieldID)
			return !found || !f.Type.Equals(icebergType(c))
		})
		if young {
			p.Young = append(p.Young, c)
		}
	}
	seen := map[int]bool{}
	for _, s := range slices.Backward(h.schemas) {
		for _, f := range s.Fields() {
			if !seen[f.ID] && !h.table.declares(f.ID) && h.ours(f.ID) {
				p.Retired = append(p.Retired, columnIn(f))
			}
			seen[f.ID] = true
		}
	}
	return &p
}

// evolved reads the table's property; 0 where the schema never changed.
func (h *history) evolved() int64 {
	n, _ := strconv.ParseInt(h.meta.Properties()[evolvedProperty], 10, 64)
	return n
}
