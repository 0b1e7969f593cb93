package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/lakehouse"
)

// The log holds documents as they were written; a field that was renamed since has its old name there. Whatever reads the log
// gives it the name it has now, behind the checksum, so that nobody else knows of old names.

// changed is a member of an event's changes.
type changed struct {
	Field string         `json:"field"`
	From  jsontext.Value `json:"from"`
	To    jsontext.Value `json:"to"`
}

// today gives the fields of an event their present names.
func today(plans map[string]*plan, r *lakehouse.Event) (err error) {
	p := plans[r.Entity]
	if p == nil || len(p.traces) == 0 {
		return nil
	}
	for _, object := range []*[]byte{&r.Data, &r.Before, &r.Input} {
		if *object, err = p.document(*object); err != nil {
			return fmt.Errorf("event %d: %w", r.Seq, err)
		}
	}
	if !p.bearsOld(r.Changes) {
		return nil
	}
	var all []changed
	if err := json.Unmarshal(r.Changes, &all); err != nil {
		return fmt.Errorf("event %d: changes: %w", r.Seq, err)
	}
	var list changeList
	for _, ch := range all {
		list.put(p.noun.Current(ch.Field), ch.From, ch.To)
	}
	r.Changes = list.text()
	return nil
}

// todayData is today for a document alone.
func (c *conn) todayData(data []byte) ([]byte, error) {
	const start = `{"$type":"`
	rest, ok := bytes.CutPrefix(data, []byte(start))
	name, _, _ := bytes.Cut(rest, []byte{'"'})
	p := c.plans[string(name)]
	if !ok || p == nil {
		return data, nil
	}
	return p.document(data)
}

// document gives the members of a stored object their present names. The bytes are the same ones where it has no old name.
func (p *plan) document(data []byte) ([]byte, error) {
	if !p.bearsOld(data) {
		return data, nil
	}
	doc, err := entity.ParseStored(data)
	if err != nil {
		return nil, err
	}
	doc.Rename(p.noun.Was())
	return doc.Append(make([]byte, 0, len(data)+32)), nil
}

// bearsOld says whether a text may hold an old name.
func (p *plan) bearsOld(text []byte) bool {
	for _, trace := range p.traces {
		if bytes.Contains(text, trace) {
			return true
		}
	}
	return false
}

// rename gives the members of a body the names they have by now. A member that stands under both is taken under the new one.
func (p *plan) rename(body *entity.Object) {
	for old, now := range p.noun.Was() {
		if _, both := body.Get(now); both {
			body.Delete(old)
		}
	}
	body.Rename(p.noun.Was())
}

// renameClaims gives the unique values of renamed fields to the fields' present names.
func (c *conn) renameClaims() error {
	for name, p := range c.plans {
		for old, now := range p.noun.Was() {
			if f, ok := p.noun.Field(now); !ok || !f.Unique {
				continue
			}
			_, stale, err := c.getInt(sqlOldClaim, name, old)
			if err == nil && stale {
				err = c.exec(sqlRenameClaims, now, name, old)
			}
			if err != nil {
				return fmt.Errorf("rename %s.%s to %s: %w", name, old, now, err)
			}
		}
	}
	return nil
}
