package noun

// experimentation declares the nouns of the domain Experimentation.
func experimentation() []Declaration {
	return []Declaration{experimentNoun(), featureFlagNoun()}
}

func experimentNoun() Declaration {
	return Declaration{
		Name:        "Experiment",
		Domain:      "Experimentation",
		Description: "A test with variants, traffic share and statistical outcome.",
		Properties: `
			name:              string!
			slug:              string##
			description:       string
			hypothesis:        string
			type:              ABTest | Multivariate | FeatureFlag | MLExperiment | PromptExperiment
			status:            enum(Draft, Started, Running, Paused, Concluded, Completed, Archived)=Draft
			startAt:           datetime  // Planned start.
			endAt:             datetime  // Planned end.
			targetAudience:    string    // Text or segment identifier.
			trafficAllocation: number    // Percent, 0 to 100.
			variants:          json      // Array of key, name and weight.
			metrics:           string    // Comma-separated metric names.
			primaryMetric:     string
			results:           json      // Statistics for each variant.
			winner:            string    // Variant key that won.
			confidence:        number    // 0 to 100.
			sampleSize:        number    // Participants.
			conversions:       number
			tags:              string    // Comma-separated.
			organization:      -> Organization
			owner:             -> Contact
			start:             Started
			conclude:          Concluded // The body has winner and results.
			pause:             Paused
			stop:              Stopped
		`,
		Also: map[string][]string{"status": {"Stopped"}},
		Verbs: map[string]Behavior{
			"stop": {Effects: []Effect{{Field: "status", Op: Set, Value: "Stopped"}}},
		},
	}
}

func featureFlagNoun() Declaration {
	return Declaration{
		Name:        "FeatureFlag",
		Domain:      "Experimentation",
		Description: "A switch with targeting rules and a rollout percentage, optionally part of an experiment.",
		Properties: `
			key:               string!## // Machine name used by code.
			name:              string!
			description:       string
			type:              Boolean | String | Number | JSON
			defaultValue:      string    // Value as text when no rule matches.
			variants:          json      // Array of possible values.
			targetingRules:    json      // Rules choosing a variant for a user.
			status:            enum(Draft, Active, Enabled, Disabled, Paused, RolledOut, Archived)=Draft
			rolloutPercentage: number    // 0 to 100.
			evaluations:       number    // Times evaluated.
			lastEvaluatedAt:   datetime
			organization:      -> Organization
			experiment:        -> Experiment
			rollout:           RolledOut // To everybody.
			enable:            Enabled
			disable:           Disabled
		`,
		Verbs: map[string]Behavior{
			"rollout": {Effects: []Effect{{Field: "rolloutPercentage", Op: Set, Value: "100"}}},
		},
	}
}
