package query

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

// maxIncluded bounds the entities that one include adds to one answer.
const maxIncluded = 10_000

// include puts related entities into documents: the one a key names, or those whose keys name the document.
func (r *Reader) include(ctx context.Context, in scope, edge *noun.Relationship, stored, shown []entity.Object) error {
	target, _ := r.nouns.Get(edge.Target)
	if edge.Forward {
		return r.includeTargets(ctx, in, target, edge.Name, stored, shown)
	}
	return r.includeSources(ctx, in, target, edge, stored, shown)
}

// includeTargets replaces keys by the entities they name, or null.
func (r *Reader) includeTargets(
	ctx context.Context, in scope, target *noun.Noun, name string, stored, shown []entity.Object,
) error {
	found := map[string]int{} // id → place in live
	var live []state
	for _, doc := range stored {
		id := doc.Text(name)
		if _, known := found[id]; known || id == "" {
			continue
		}
		found[id] = -1
		s, ok, err := r.stateAt(ctx, in.tenant, target, id, in.seq)
		if err != nil {
			return err
		}
		if ok && !s.Deleted {
			found[id] = len(live)
			live = append(live, s)
		}
	}
	if err := r.load(ctx, in.tenant, live); err != nil {
		return err
	}
	for i, doc := range stored {
		value := jsontext.Value("null")
		if place, ok := found[doc.Text(name)]; ok && place >= 0 {
			value = entity.WithContext(live[place].document, r.base, in.tenant)
		}
		shown[i].Set(name, value)
	}
	return nil
}

// includeSources adds the entities whose keys name a document: an array, or for a singular edge the newest or null.
func (r *Reader) includeSources(
	ctx context.Context, in scope, source *noun.Noun, edge *noun.Relationship, stored, shown []entity.Object,
) error {
	found, err := r.sources(ctx, in, source, edge.Via, stored)
	if err != nil {
		return err
	}
	of := map[string][]int{} // id of a document → places in live
	live := make([]state, len(found))
	for i, row := range found {
		key, _ := row[0].(string)
		of[key] = append(of[key], i)
		live[i].Seq, _ = row[1].(int64)
	}
	if err := r.load(ctx, in.tenant, live); err != nil {
		return err
	}
	for i, doc := range stored {
		places := of[doc.Text("$id")]
		if !edge.Many {
			value := jsontext.Value("null")
			if len(places) > 0 {
				value = entity.WithContext(live[places[0]].document, r.base, in.tenant)
			}
			shown[i].Set(edge.Name, value)
			continue
		}
		array := []byte{'['}
		for j, place := range places {
			if j > 0 {
				array = append(array, ',')
			}
			array = append(array, entity.WithContext(live[place].document, r.base, in.tenant)...)
		}
		shown[i].Set(edge.Name, append(array, ']'))
	}
	return nil
}

// sources gives key and seq of the entities whose key names one of the documents, newest first.
func (r *Reader) sources(ctx context.Context, in scope, source *noun.Noun, via string, docs []entity.Object) ([][]any, error) {
	if in.seq == 0 || len(docs) == 0 {
		return nil, nil
	}
	var s statement
	s.write(" select r0.", quoteName(via), ", r0._seq from ")
	s.from(relation{noun: source})
	s.write(" where r0.", quoteName(via), " in (")
	for i, doc := range docs {
		if i > 0 {
			s.write(", ")
		}
		s.bind(doc.Text("$id"))
	}
	s.write(") order by r0._createdAt desc, r0.id limit ")
	s.bind(maxIncluded + 1)
	rows, err := r.engine.query(ctx, in, &s)
	if err != nil {
		return nil, err
	}
	if len(rows) > maxIncluded {
		return nil, problem.New(problem.LimitExceeded, "the include adds more than %d entities; ask for them page by page", maxIncluded)
	}
	return rows, nil
}

// load fetches the documents that are missing.
func (r *Reader) load(ctx context.Context, tenant string, states []state) error {
	var seqs []int64
	for _, s := range states {
		if s.document == nil {
			seqs = append(seqs, s.Seq)
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	docs, err := r.log.Documents(ctx, tenant, seqs)
	if err != nil {
		return err
	}
	next := 0
	for i := range states {
		if states[i].document == nil {
			states[i].document = docs[next]
			next++
		}
	}
	return nil
}
