package noun

// content declares the nouns of the domain Content.
func content() []Declaration {
	return []Declaration{contentNoun(), assetNoun(), siteNoun()}
}

func contentNoun() Declaration {
	return Declaration{
		Name:        "Content",
		Domain:      "Content",
		Description: "A publishable document (page, post, article, guide) with SEO data and a publishing workflow.",
		Properties: `
			title:          string!
			slug:           string##
			excerpt:        string
			body:           string    // Markdown or MDX.
			type:           Page | Post | Article | Guide
			categories:     string    // Comma-separated.
			tags:           string    // Comma-separated.
			status:         enum(Draft, Published, Scheduled, Archived)=Draft
			publishedAt:    datetime
			scheduledAt:    datetime  // Future publishing time.
			seoTitle:       string
			seoDescription: string
			ogImage:        string    // Social sharing image URL.
			noIndex:        boolean   // Ask search engines to skip it.
			canonicalUrl:   string
			readingTime:    number    // Minutes.
			viewCount:      number
			visibility:     Public | Private | Members
			organization:   -> Organization
			site:           -> Site.content
			author:         -> Contact
			featuredImage:  -> Asset
			publish:        Published
			archive:        Archived
			schedule:       Scheduled // The body has scheduledAt, the time to come.
		`,
		Collection: "content",
		Verbs: map[string]Behavior{
			"publish": {Stamp: "publishedAt"},
		},
	}
}

func assetNoun() Declaration {
	return Declaration{
		Name:        "Asset",
		Domain:      "Content",
		Description: "A stored media file with its technical metadata.",
		Properties: `
			name:       string!
			filename:   string!
			url:        string!   // Public address of the file.
			type:       Image | Video | Document | Audio | Archive | Other
			mimeType:   string!   // MIME type.
			extension:  string    // Without the dot.
			size:       number!   // Bytes.
			width:      number    // Pixels.
			height:     number    // Pixels.
			alt:        string    // Text for screen readers.
			caption:    string
			duration:   number    // Seconds.
			thumbnail:  string    // Image URL.
			tags:       string    // Comma-separated.
			source:     string    // Where it came from.
			license:    string    // Licence name.
			uploadedBy: -> Contact
			process:    Processed // The body has what was found or made, such as width or thumbnail.
		`,
	}
}

func siteNoun() Declaration {
	return Declaration{
		Name:        "Site",
		Domain:      "Content",
		Description: "Configuration of a website that content is published to: branding, languages, visibility.",
		Properties: `
			name:               string!
			subdomain:          string##
			title:              string
			description:        string
			tagline:            string
			logo:               string
			favicon:            string
			primaryColor:       string // Hex colour.
			accentColor:        string // Hex colour.
			status:             enum(Draft, Published, Maintenance)=Draft
			visibility:         Public | Private | Password
			ogImage:            string
			defaultLanguage:    string // Language code.
			supportedLanguages: string // Comma-separated language codes.
			timezone:           string // IANA zone name.
			content:            <- Content.site[]
		`,
	}
}
