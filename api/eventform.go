package api

import (
	"net/url"
	"strconv"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// conjugations holds the forms of every verb as JSON, by noun and imperative, so that showing an event computes none.
type conjugations map[string]map[string][]byte

func conjugate(r *noun.Registry) conjugations {
	forms := conjugations{}
	for _, n := range r.All() {
		verbs := map[string][]byte{}
		for _, action := range []string{"create", "update", "delete", "rollback"} {
			verbs[action] = conjugation(noun.Conjugate(action))
		}
		for _, v := range n.Verbs {
			verbs[v.Action] = conjugation(v)
		}
		forms[n.Name] = verbs
	}
	return forms
}

func conjugation(v noun.Verb) []byte {
	b := append([]byte(nil), `{"action":`...)
	b = appendText(b, v.Action)
	b = append(b, `,"activity":`...)
	b = appendText(b, v.Activity)
	b = append(b, `,"event":`...)
	b = appendText(b, v.Event)
	return append(b, '}')
}

// of gives the forms of a verb; an event may bear one that its noun no longer declares.
func (f conjugations) of(e *lakehouse.Event) []byte {
	if forms, ok := f[e.Entity][e.Verb]; ok {
		return forms
	}
	return conjugation(noun.Conjugate(e.Verb))
}

// eventForm gives the function that appends an event to a buffer as JSON in the shape asked for.
func (s *Service) eventForm(v url.Values) (func(b []byte, tenant string, e *lakehouse.Event) []byte, error) {
	switch shape := v.Get("shape"); shape {
	case "":
		return s.appendEvent, nil
	case "noun":
		return s.appendNounEvent, nil
	default:
		p := problem.New(problem.InvalidRequest, "there is no shape %q; there is noun", cut(shape))
		p.Field = "shape"
		return nil, p
	}
}

// appendEvent appends the event object of interfaces.md 3.2. Before, changes and input stand where the event has them;
// after is left out of a delete.
func (s *Service) appendEvent(b []byte, tenant string, e *lakehouse.Event) []byte {
	b = appendPair(b, `{"id":`, e.ID)
	b = appendPair(b, `,"type":`, e.Type)
	b = appendPair(b, `,"entity":`, e.Entity)
	b = appendPair(b, `,"target":`, e.Target)
	b = appendPair(b, `,"verb":`, e.Verb)
	b = append(b, `,"conjugation":`...)
	b = append(b, s.forms.of(e)...)
	b = appendPair(b, `,"tenant":`, tenant)
	b = s.appendContext(append(b, `,"context":`...), tenant)
	b = appendOptional(b, `,"actor":`, e.Actor)
	b = append(b, `,"timestamp":"`...)
	b = appendTime(b, e.Timestamp)
	b = append(b, `","version":`...)
	b = strconv.AppendInt(b, e.Version, 10)
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, e.Seq, 10)
	b = s.appendStates(b, tenant, e)
	b = appendJSON(b, `,"changes":`, e.Changes)
	b = appendJSON(b, `,"input":`, e.Input)
	b = appendOptional(b, `,"source":`, e.Source)
	b = appendOptional(b, `,"requestId":`, e.RequestID)
	b = appendOptional(b, `,"cause":`, e.Cause)
	return append(b, '}')
}

// appendNounEvent appends the shape of the published client packages (?shape=noun).
func (s *Service) appendNounEvent(b []byte, tenant string, e *lakehouse.Event) []byte {
	b = appendPair(b, `{"$id":`, e.ID)
	b = appendPair(b, `,"$type":`, e.Type)
	b = appendPair(b, `,"entityType":`, e.Entity)
	b = appendPair(b, `,"entityId":`, e.Target)
	b = appendPair(b, `,"verb":`, e.Verb)
	b = append(b, `,"conjugation":`...)
	b = append(b, s.forms.of(e)...)
	b = s.appendStates(b, tenant, e)
	b = s.appendContext(append(b, `,"context":`...), tenant)
	b = appendOptional(b, `,"actor":`, e.Actor)
	b = append(b, `,"sequence":`...)
	b = strconv.AppendInt(b, e.Version, 10)
	b = append(b, `,"timestamp":"`...)
	b = appendTime(b, e.Timestamp)
	return append(b, '"', '}')
}

// appendStates appends data (the whole entity), before and after (its fields alone).
func (s *Service) appendStates(b []byte, tenant string, e *lakehouse.Event) []byte {
	b = append(b, `,"data":`...)
	b = append(b, entity.WithContext(e.Data, s.cfg.Base, tenant)...)
	b = appendJSON(b, `,"before":`, e.Before)
	if e.Verb == "delete" {
		return b
	}
	doc, err := entity.ParseStored(e.Data)
	if err != nil {
		return b // the log verifies what it reads; a document that is none is shown as it is, in data
	}
	b = append(b, `,"after":`...)
	return doc.Fields().Append(b)
}

func (s *Service) appendContext(b []byte, tenant string) []byte {
	b = append(b, `"https://`...)
	b = append(b, s.cfg.Base...)
	b = append(b, `/~`...)
	b = append(b, tenant...)
	return append(b, '"')
}

func appendPair(b []byte, name, text string) []byte {
	return appendText(append(b, name...), text)
}

// appendOptional shows text that is not known as null.
func appendOptional(b []byte, name, text string) []byte {
	b = append(b, name...)
	if text == "" {
		return append(b, "null"...)
	}
	return appendText(b, text)
}

// appendJSON leaves out a value that the event does not have.
func appendJSON(b []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return b
	}
	return append(append(b, name...), value...)
}
