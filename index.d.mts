export {} from './index.js';
