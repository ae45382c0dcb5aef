// The kinds of messages in groups, as readers look for them.
export const kindGroups = {
  text: ['text', 'markdown', 'mixed'],
  pictures: ['image', 'video', 'emotion'],
  files: ['file', 'voip_doc_share', 'qydiskfile'],
  links: ['link', 'weapp', 'docmsg', 'news', 'sphfeed', 'location', 'card'],
  voice: ['voice', 'meeting_voice_call', 'voiptext'],
  records: ['chatrecord', 'note'],
  work: ['meeting', 'meeting_notification', 'calendar', 'vote', 'todo', 'collect', 'solitaire'],
  redpackets: ['redpacket', 'external_redpacket'],
  other: ['agree', 'disagree', 'revoke', 'switch', 'unknown', 'unreadable'],
} as const
export type KindGroup = keyof typeof kindGroups
export const isKindGroup = (name: string | undefined): name is KindGroup => name !== undefined && Object.hasOwn(kindGroups, name)
