package noun

// identity declares the nouns of the domain Identity.
func identity() []Declaration {
	return []Declaration{userNoun(), apiKeyNoun()}
}

func userNoun() Declaration {
	return Declaration{
		Name:        "User",
		Domain:      "Identity",
		Description: "A person who can sign in to the tenant, with a permission role and an account status.",
		Properties: `
			name:     string!
			email:    string!##               // Login address.
			avatar:   string                  // Image URL.
			role:     Admin | Member | Viewer // Permission level.
			status:   Active | Suspended | Invited // Account state.
			invite:   Invited                 // How a person first appears; also for one who is there already.
			suspend:  Suspended
			activate: Activated
		`,
		Verbs: map[string]Behavior{
			"activate": {Effects: []Effect{{Field: "status", Op: Set, Value: "Active"}}},
		},
	}
}

func apiKeyNoun() Declaration {
	return Declaration{
		Name:        "ApiKey",
		Domain:      "Identity",
		Description: "A credential for machine access; only a short identifying prefix is kept on the record, plus scopes and status.",
		Properties: `
			name:      string!   // Label shown to people.
			keyPrefix: string!## // Leading 16 characters of the secret; the secret itself is not stored here.
			scopes:    string    // Comma-separated grants such as read:all.
			status:    enum(Active, Revoked, Expired)=Active
			revoke:    Revoked   // Final: there is no way back to Active.
		`,
	}
}
