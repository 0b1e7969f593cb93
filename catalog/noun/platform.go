package noun

// platform declares the nouns of the domain Platform.
func platform() []Declaration {
	return []Declaration{workflowNoun(), integrationNoun(), agentNoun()}
}

func workflowNoun() Declaration {
	return Declaration{
		Name:        "Workflow",
		Domain:      "Platform",
		Description: "An automation started by an event and made of steps, with run counters.",
		Properties: `
			name:          string!
			description:   string
			triggerEvent:  string!   // Event type that starts it, for example Deal.won.
			steps:         string    // JSON text with the steps.
			retryPolicy:   string    // Attempts and back-off.
			errorHandling: Stop | Continue | Fallback
			timeout:       number    // Milliseconds.
			status:        enum(Draft, Active, Activated, Paused, Triggered, Archived)=Draft
			version:       number    // Own revision number, separate from $version.
			lastRunAt:     datetime
			runCount:      number    // Executions so far.
			successCount:  number
			failureCount:  number
			organization:  -> Organization
			activate:      Activated
			pause:         Paused
			trigger:       Triggered // Passing: a run is under way.
			archive:       Archived
		`,
		Was: map[string][]string{"triggerEvent": {"trigger"}},
	}
}

func integrationNoun() Declaration {
	return Declaration{
		Name:        "Integration",
		Domain:      "Platform",
		Description: "A connector to an outside service with its authentication type and connection status.",
		Properties: `
			name:           string!
			slug:           string##
			description:    string
			provider:       string! // Provider identifier.
			providerUrl:    string
			providerLogo:   string
			category:       Payment | CRM | Marketing | Analytics | Communication | Storage | AI | Other
			authType:       OAuth2 | ApiKey | Basic | Custom
			oauthScopes:    string  // Scopes to ask for.
			configSchema:   string  // JSON Schema text of its settings.
			status:         enum(Available, Connected, Disconnected, Synced, ComingSoon, Deprecated)=Available
			featured:       boolean
			apiBaseUrl:     string
			webhookSupport: boolean
			connect:        Connected
			disconnect:     Disconnected
			sync:           Synced
		`,
	}
}

func agentNoun() Declaration {
	return Declaration{
		Name:        "Agent",
		Domain:      "Platform",
		Description: "An AI worker with model settings, tools, memory mode, usage totals and a deployment status.",
		Properties: `
			name:           string!
			slug:           string##
			description:    string
			avatar:         string
			model:          string // Language model identifier.
			systemPrompt:   string
			instructions:   string
			persona:        string
			type:           Assistant | Autonomous | Workflow | Specialist | Router
			status:         enum(Draft, Active, Deployed, Paused, Stopped, Retired, Archived)=Draft
			visibility:     Private | Team | Organization | Public
			temperature:    number // 0 to 2.
			maxTokens:      number // Limit for one answer.
			tools:          json   // Array of tools it may call.
			functions:      json   // Array of custom function definitions.
			knowledgeBases: json   // Array of references used for retrieval.
			memory:         None | Session | Persistent
			memoryWindow:   number // Earlier messages kept in context.
			totalTokens:    number
			totalCost:      number // USD.
			averageLatency: number // Milliseconds.
			successRate:    number // Percent, 0 to 100.
			rating:         number // 0 to 5.
			ratingCount:    number
			version:        number // Own revision number, separate from $version.
			publishedAt:    datetime
			tags:           string // Comma-separated.
			organization:   -> Organization
			owner:          -> Contact
			do:             Done
			ask:            Asked
			decide:         Decided
			approve:        Approved
			notify:         Notified
			delegate:       Delegated
			escalate:       Escalated
			learn:          Learned
			reflect:        Reflected
			invoke:         Invoked
			deploy:         Deployed
			pause:          Paused
			stop:           Stopped
			retire:         Retired
		`,
	}
}
