package catalog

import "strings"

// Step is a durable action of publishing or maintenance. A hook hears its name with ".before" just before the action begins and with
// ".after" when its result is on disk; crash tests end the process there.
type Step string

// The steps, in the order in which a publish, and then maintenance, takes them.
const (
	StepData     Step = "publish.data"     // a data file
	StepManifest Step = "publish.manifest" // a manifest or a manifest list
	StepSeqs     Step = "publish.seqs"     // the side file that says which seqs a snapshot holds
	StepMetadata Step = "publish.metadata" // a metadata.json
	StepSwap     Step = "publish.swap"     // the transaction of catalog.db
	StepHint     Step = "publish.hint"     // version-hint.text and the link it names
	StepAdopt    Step = "maintain.adopt"   // orphans entered into the register
	StepDelete   Step = "maintain.delete"  // the removal of a file that nothing names any more
	StepForget   Step = "maintain.forget"  // removed files taken out of the register
)

// What erasing a tenant has done when it is told so, beside the steps of writing: these are heard alone.
const (
	StepPurge Step = "erase.purge" // the transaction from which on nothing of the tenant is current
	StepSweep Step = "erase.sweep" // one file removed
)

// Steps lists the names that a hook can hear.
func Steps() []string {
	var names []string
	for _, s := range []Step{StepData, StepManifest, StepSeqs, StepMetadata, StepSwap, StepHint, StepAdopt, StepDelete, StepForget} {
		names = append(names, s.before(), s.after())
	}
	return names
}

func (s Step) before() string { return string(s) + ".before" }
func (s Step) after() string  { return string(s) + ".after" }

// stepOf tells by its name which step the writing of a file is.
func stepOf(name string) Step {
	switch {
	case strings.HasSuffix(name, ".parquet"):
		return StepData
	case strings.HasSuffix(name, ".avro"):
		return StepManifest
	case strings.HasSuffix(name, ".metadata.json"):
		return StepMetadata
	default:
		return StepSeqs
	}
}
