import type zh from '../zh/scope'

export default {
  title: 'Scope and consent',
  day: 'Date',
  previous: 'Previous day',
  next: 'Next day',
  members: (day) => `Members in scope on ${day}`,
  about:
    'WeCom tells only who is in scope now, so the archive asks once a day. “Entered” and “Left” are the days on which the archive first found, and first no longer found, the member. Choose an earlier day to see members who have left.',
  asked: (time) => `Last asked: ${time}`,
  neverAsked: 'WeCom has not told the scope yet. The archive asks once steps 2 and 4 of the set-up are done.',
  toSetup: 'To the set-up',
  total: (n) => `${n} in all`,
  edition: { 1: 'Office', 2: 'Service', 3: 'Enterprise', none: 'Not named' },
  editionCount: (edition, n) => `${edition}: ${n}`,
  columns: { member: 'Member', id: 'User ID', edition: 'Edition', since: 'Entered', until: 'Left' },
  inside: 'in scope',
  none: 'No member was in scope on this day, or the archive did not ask.',
  consents: {
    title: 'Answers of customers to archiving',
    about: 'Pairs of a customer and a member, or of a customer and a group chat, by the newest answer.',
    columns: { where: 'Chats', agree: 'Agreed', disagree: 'Refused', default_agree: 'No answer' },
    rows: { members: 'Single chats', rooms: 'Group chats' },
    refusal: 'After a refusal, WeCom provides no further messages with this customer. What is archived stays.',
    silence: 'WeCom counts a customer without an answer as agreed. The messages are archived as usual.',
    find: 'Open a customer under Chats → Customers to see every answer to each member and in each group chat.',
    atLeast: 'There are many answers; these counts cover a part of them.',
    none: 'No answer of a customer is recorded yet.',
  },
} satisfies typeof zh
