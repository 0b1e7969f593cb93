package noun

// communication declares the nouns of the domain Communication.
func communication() []Declaration {
	return []Declaration{messageNoun()}
}

func messageNoun() Declaration {
	return Declaration{
		Name:        "Message",
		Domain:      "Communication",
		Description: "Text sent from one contact to another on one of four channels, with delivery status.",
		Properties: `
			body:      string!
			channel:   Email | SMS | Chat | Push
			status:    enum(Draft, Sent, Delivered, Read, Failed)=Draft // Delivery state.
			sender:    -> Contact
			recipient: -> Contact
			send:      Sent
			deliver:   Delivered
			read:      Read
		`,
	}
}
