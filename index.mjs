import oxcart from './index.js';

export const {} = oxcart;
