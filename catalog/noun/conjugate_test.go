package noun_test

import (
	"testing"

	"headless.ly/catalog/noun"
)

func TestConjugate(t *testing.T) {
	for _, w := range []struct{ action, act, activity, event string }{
		// regular
		{"qualify", "qualifies", "qualifying", "qualified"},
		{"deploy", "deploys", "deploying", "deployed"},
		{"push", "pushes", "pushing", "pushed"},
		{"fix", "fixes", "fixing", "fixed"},
		{"box", "boxes", "boxing", "boxed"},
		{"miss", "misses", "missing", "missed"},
		{"close", "closes", "closing", "closed"},
		{"agree", "agrees", "agreeing", "agreed"},
		{"tie", "ties", "tying", "tied"},
		{"aim", "aims", "aiming", "aimed"},
		{"show", "shows", "showing", "showed"},
		{"play", "plays", "playing", "played"},
		{"queue", "queues", "queuing", "queued"},
		// one syllable, one vowel: doubles
		{"log", "logs", "logging", "logged"},
		{"stop", "stops", "stopping", "stopped"},
		{"ship", "ships", "shipping", "shipped"},
		{"plan", "plans", "planning", "planned"},
		{"quit", "quits", "quitting", "quitted"},
		// stressed on the last syllable: doubles
		{"submit", "submits", "submitting", "submitted"},
		{"commit", "commits", "committing", "committed"},
		{"prefer", "prefers", "preferring", "preferred"},
		{"occur", "occurs", "occurring", "occurred"},
		{"equip", "equips", "equipping", "equipped"},
		{"transfer", "transfers", "transferring", "transferred"},
		{"control", "controls", "controlling", "controlled"},
		// stressed before: does not
		{"assign", "assigns", "assigning", "assigned"},
		{"trigger", "triggers", "triggering", "triggered"},
		{"deliver", "delivers", "delivering", "delivered"},
		{"edit", "edits", "editing", "edited"},
		{"visit", "visits", "visiting", "visited"},
		{"reopen", "reopens", "reopening", "reopened"},
		{"target", "targets", "targeting", "targeted"},
		{"budget", "budgets", "budgeting", "budgeted"},
		// irregular
		{"write", "writes", "writing", "written"},
		{"read", "reads", "reading", "read"},
		{"run", "runs", "running", "run"},
		{"begin", "begins", "beginning", "begun"},
		{"do", "does", "doing", "done"},
		{"go", "goes", "going", "gone"},
		{"have", "has", "having", "had"},
		{"be", "is", "being", "been"},
		{"cancel", "cancels", "cancelling", "cancelled"},
		{"hit", "hits", "hitting", "hit"},
		{"lose", "loses", "losing", "lost"},
		{"win", "wins", "winning", "won"},
		{"pay", "pays", "paying", "paid"},
		{"set", "sets", "setting", "set"},
		{"get", "gets", "getting", "got"},
		{"put", "puts", "putting", "put"},
		{"cut", "cuts", "cutting", "cut"},
		{"rollout", "rollsOut", "rollingOut", "rolledOut"},
		{"rollback", "rollsBack", "rollingBack", "rolledBack"},
		{"send", "sends", "sending", "sent"},
		{"reset", "resets", "resetting", "reset"},
		{"snapshot", "snapshots", "snapshotting", "snapshotted"},
		// the base form is lower-cased first
		{"Ship", "ships", "shipping", "shipped"},
	} {
		v := noun.Conjugate(w.action)
		equal(t, w.action, []string{v.Action, v.Act, v.Activity, v.Event}, []string{w.action, w.act, w.activity, w.event})
		equal(t, w.action+" reverse", []string{v.ReverseBy, v.ReverseAt, v.ReverseIn}, []string{w.event + "By", w.event + "At", w.event + "In"})
		equal(t, w.action+" merges", v.Merges, true)
	}
}

func TestDeclaredPastWins(t *testing.T) {
	n := define(t, noun.Declaration{Name: "Draft", Properties: `
		strike:  Struck
		format:  Formatted
		signOff: SignedOff
	`})
	for i, w := range []noun.Verb{
		{Action: "strike", Act: "strikes", Activity: "striking", Event: "struck", Declared: "Struck"},
		{Action: "format", Act: "formats", Activity: "formatting", Event: "formatted", Declared: "Formatted"},
		{Action: "signOff", Act: "signoffs", Activity: "signoffing", Event: "signedOff", Declared: "SignedOff"},
	} {
		w.ReverseBy, w.ReverseAt, w.ReverseIn, w.Merges = w.Event+"By", w.Event+"At", w.Event+"In", true
		equal(t, w.Action, n.Verbs[i], w)
	}
	if v, ok := n.Verb("SIGNOFF"); !ok || v.Action != "signOff" {
		t.Error("a verb is found in any casing")
	}
}
