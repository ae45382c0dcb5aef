package directory

// What tests see of the answers and the bounds.
type (
	ConsentJSON    = consentJSON
	InspectionJSON = inspectionJSON
	PersonJSON     = personJSON
	RoomJSON       = roomJSON
	GivenJSON      = givenJSON
)

const (
	GivenMost     = givenMost
	MaxAvatar     = maxAvatar
	MaxPersonName = maxPersonName
	PeopleMost    = peopleMost
)
